"""The two hosts of CIFAR-100 played on this machine, with a data set of its form, 600 images instead of 60,000."""

import hashlib
import io
import itertools
import pickle
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pyarrow
from PIL import Image
from pyarrow import parquet

from cifarcore.data import cifar100 as data
from cifarcore.data import hugging_face
from cifarcore.data.cifar100 import CLASS_NAMES
from cifarcore.data.downloading import RemoteFile
from cifarcore.data.known_images import KnownImages

SHAPES = {"x_train": (500, 32, 32, 3), "y_train": (500,), "x_test": (100, 32, 32, 3), "y_test": (100,)}


def make_small(monkeypatch) -> dict[str, np.ndarray]:
    """The data set's arrays in their official order, as `cifarcore.data` now expects them."""
    chance = np.random.default_rng(0)
    arrays = {name: chance.integers(0, 256, shape, np.uint8) for name, shape in SHAPES.items()}
    arrays |= {name: (np.arange(shape[0]) % 100).astype(np.uint8) for name, shape in SHAPES.items() if len(shape) == 1}
    monkeypatch.setattr(data, "_SHAPES", SHAPES)
    ids = {split: data.sample_ids(arrays[f"x_{split}"]) for split in ("train", "test")}
    for split in ids:
        name = data.fingerprint(ids[split], arrays[f"y_{split}"].astype(np.int64))
        monkeypatch.setattr(data, f"{split.upper()}_FINGERPRINT", name)
    monkeypatch.setattr(data, "TRAIN_ORDER", data.row_order(arrays["x_train"], arrays["y_train"]))
    no = np.zeros(100, np.int8)
    known = KnownImages(ids["test"], arrays["y_test"].astype(np.int16), no, no, no, no, no)
    monkeypatch.setattr(data, "known_images", lambda: known)
    return arrays


def make_archive(arrays: dict[str, np.ndarray], monkeypatch) -> bytes:
    """`arrays` as torchvision's download, with the checksums that go with it."""
    from torchvision.datasets import CIFAR100

    members, sums = {}, {}
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"].tolist()
        pixels = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        members[split] = pickle.dumps({"data": pixels, "fine_labels": labels, "coarse_labels": labels})
    members["meta"] = pickle.dumps({"fine_label_names": list(CLASS_NAMES)})
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            sums[name] = hashlib.md5(content).hexdigest()
            info = tarfile.TarInfo(f"{data.PYTHON_FOLDER}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    monkeypatch.setattr(CIFAR100, "train_list", [["train", sums["train"]]])
    monkeypatch.setattr(CIFAR100, "test_list", [["test", sums["test"]]])
    monkeypatch.setattr(CIFAR100, "meta", {"filename": "meta", "key": "fine_label_names", "md5": sums["meta"]})
    monkeypatch.setattr(CIFAR100, "tgz_md5", hashlib.md5(buffer.getvalue()).hexdigest())
    monkeypatch.setattr(data, "ARCHIVE_BYTES", len(buffer.getvalue()))
    return buffer.getvalue()


def make_parquet(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A split as Hugging Face has it."""
    pictures = []
    for image in images:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        pictures.append({"bytes": buffer.getvalue(), "path": None})
    labels = labels.astype(np.int64)
    table = pyarrow.table({"img": pictures, "fine_label": labels, "coarse_label": labels // 5})
    out = io.BytesIO()
    parquet.write_table(table, out)
    return out.getvalue()


@dataclass
class Host:
    """What a host answers, whatever it is asked for by `GET /…/NAME`."""

    contents: dict[str, bytes]
    status: int = 200
    cut: int | None = None  #: hangs up after so many bytes
    length: str | None = None  #: what it says of the length; "" for nothing
    pause: float = 0  #: seconds after each piece
    piece: int = 1 << 20
    at_once: int = 0  #: bytes before the first pause
    leads: str = ""  #: a redirect
    sent: int = 0
    asked: int = 0


@contextmanager
def serving(host: Host) -> Iterator[str]:
    """The address of `host`, while it stands."""
    closed = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            host.asked += 1
            content = next((each for name, each in host.contents.items() if self.path.endswith(name)), b"")
            leads = host.leads if "elsewhere" not in self.path else ""
            self.send_response(302 if leads else host.status)
            if leads:
                self.send_header("Location", leads + self.path)
            elif host.length != "":
                self.send_header("Content-Length", host.length or str(len(content)))
            self.end_headers()
            content = b"" if leads else content[: host.cut]
            starts = [0, *range(host.at_once, len(content), host.piece), len(content)]
            for start, end in itertools.pairwise(starts):
                try:
                    self.wfile.write(content[start:end])
                except OSError:  # nobody reads on
                    return
                host.sent += end - start
                if closed.wait(host.pause):
                    return

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            closed.set()
            server.shutdown()


def as_toronto(address: str, monkeypatch) -> None:
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "url", f"{address}/{CIFAR100.filename}")


def as_hugging_face(address: str, contents: dict[str, bytes], monkeypatch) -> None:
    """Have `address` send `contents`, by split, as the files expected."""
    files = {
        split: RemoteFile(f"{address}/{split}", len(content), "sha256", hashlib.sha256(content).hexdigest())
        for split, content in contents.items()
    }
    monkeypatch.setattr(hugging_face, "files", lambda: files)
