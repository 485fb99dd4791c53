"""CIFAR-100 from the first of two hosts that has it, in reasonable time and nothing else."""

import io
import socket
import sys
import tempfile
import threading
import urllib.request
from contextlib import suppress

import numpy as np
import pytest
from hosts import Host, as_hugging_face, as_toronto, make_archive, make_parquet, make_small, serving

from cifarcore.data import cifar100 as data
from cifarcore.data import downloading, hugging_face
from cifarcore.data.downloading import Fetching, RemoteFile, SourceError, TooSlow, first_that_works, progress_share
from cifarcore.errors import CifarcoreError


@pytest.fixture
def small(monkeypatch):
    return make_small(monkeypatch)


@pytest.fixture
def archive(small, monkeypatch):
    return make_archive(small, monkeypatch)


@pytest.fixture
def splits(small):
    return {split: make_parquet(small[f"x_{split}"], small[f"y_{split}"]) for split in ("test", "train")}


@pytest.fixture
def hasty(monkeypatch):
    """Waits of tenths of seconds, and rates that a test can stay below."""
    monkeypatch.setattr(downloading, "TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(downloading, "WINDOW_SECONDS", 0.2)


@pytest.fixture
def two_hosts(archive, splits, monkeypatch):
    """The host of torchvision's archive and Hugging Face, both right until a test says otherwise."""
    toronto, face = Host({data.PYTHON_FOLDER: b"", ".tar.gz": archive}), Host(dict(splits))
    with serving(toronto) as first, serving(face) as second:
        as_toronto(first, monkeypatch)
        as_hugging_face(second, splits, monkeypatch)
        yield toronto, face


def check_same(folder, small):
    """What was downloaded to `folder` is `small` in its order, and nothing half done is left beside it."""
    dataset = data.load_cifar100(folder, download=False)
    for name, array in small.items():
        assert np.array_equal(getattr(dataset, name), array), name
    assert not [path.name for path in folder.iterdir() if path.name.startswith((".", "tmp"))]


def test_the_second_host_is_not_asked_where_the_first_is_right(two_hosts, small, tmp_path):
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert two_hosts[1].asked == 0


DOWN = {
    "error 503": dict(status=503),
    "cut off": dict(cut=1000),
    "cut off, length not said": dict(cut=1000, length=""),
    "shorter by what it says": dict(length="1000"),
    "longer by what it says": dict(length="1000000000"),
    "no HTTP": dict(status=9999),
    "silent": dict(pause=600, piece=100),
    "a redirect to a file": dict(leads="file:///etc/passwd?"),
    "a redirect to FTP": dict(leads="ftp://127.0.0.1:9"),
    "a redirect in circles": dict(leads="/again"),
}


@pytest.mark.parametrize("fault", DOWN)
def test_where_the_first_host_is_down_the_second_serves(two_hosts, small, hasty, fault, tmp_path):
    toronto, face = two_hosts
    vars(toronto).update(DOWN[fault])
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert toronto.asked >= 1 and face.asked >= 2  # a busy machine is slow, which is tried anew
    assert not (tmp_path / "cifar-100-python.tar.gz").exists()


def test_another_file_of_the_same_length_is_not_taken(two_hosts, small, tmp_path):
    toronto, face = two_hosts
    toronto.contents[".tar.gz"] = toronto.contents[".tar.gz"][::-1]
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert face.asked == 2


def test_a_host_that_sends_on_and_on_is_left_at_the_length_expected(two_hosts, small, tmp_path):
    toronto, _ = two_hosts
    archive = toronto.contents[".tar.gz"]
    toronto.contents[".tar.gz"], toronto.length, toronto.piece = archive + b"x" * (64 << 20), "", 1 << 16
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert len(archive) < toronto.sent < len(archive) + (32 << 20)


def test_a_redirect_within_the_scheme_is_followed(two_hosts, small, tmp_path):
    toronto, face = two_hosts
    toronto.leads = "/elsewhere"
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert toronto.asked == 2 and face.asked == 0


@pytest.mark.parametrize("leads", ["http://a.example/x", "ftp://a.example/x", "file:///etc/passwd"])
def test_no_redirect_leads_from_https_to_another_scheme(leads):
    def redirected(to):
        request = urllib.request.Request("https://a.example/x")
        return downloading._SameScheme().redirect_request(request, io.BytesIO(), 302, "Found", {}, to)

    assert redirected("https://b.example/y").full_url == "https://b.example/y"
    with pytest.raises(SourceError, match="leads elsewhere"):
        redirected(leads)


def test_a_slow_first_host_is_left_for_the_second(two_hosts, small, hasty, tmp_path):
    toronto, face = two_hosts
    toronto.piece, toronto.pause = 500, 0.05  # ten kilobytes a second
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert 0 < toronto.sent < 100_000 and face.asked == 2


def test_a_host_that_becomes_slow_is_left_as_well(two_hosts, small, hasty, tmp_path):
    toronto, face = two_hosts
    toronto.at_once, toronto.piece, toronto.pause = 1_500_000, 500, 0.05
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert 1_500_000 < toronto.sent < 1_600_000 and face.asked == 2


def test_a_host_that_is_fast_enough_is_kept(two_hosts, small, hasty, tmp_path):
    toronto, face = two_hosts
    toronto.piece, toronto.pause = 1 << 17, 0.1  # a megabyte a second, over several windows
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert face.asked == 0


@pytest.mark.parametrize("second", ["slower", "down"])
def test_a_slow_host_is_better_than_none(two_hosts, small, hasty, second, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(downloading, "SLOW", 50e6)
    toronto, face = two_hosts
    toronto.piece, toronto.pause = 1 << 17, 0.1
    vars(face).update(dict(piece=1000, pause=0.05) if second == "slower" else dict(status=503))
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert toronto.asked == 2 and face.asked == 1


def test_where_all_hosts_trickle_it_ends(two_hosts, hasty, tmp_path):
    for host in two_hosts:
        host.piece, host.pause = 100, 0.05
    with pytest.raises(CifarcoreError, match=r"could not be found.*\(127.*: slow, \d+ KB/s; 127.*: slow, \d+ KB/s\)"):
        data.load_cifar100(tmp_path)
    assert [host.asked for host in two_hosts] == [2, 2]


@pytest.mark.parametrize(
    ("begins", "drip"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;", b"a"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["head", "chunk", "continue"],
)
def test_a_host_that_sends_all_but_the_file_is_not_waited_for(hasty, begins, drip):
    ended = threading.Event()

    def trickle():
        connection, _ = server.accept()
        with connection, suppress(OSError):
            connection.recv(4096)
            connection.sendall(begins)
            while not ended.wait(0.05):
                connection.sendall(drip)

    fetched = []

    def fetch():
        address = f"http://127.0.0.1:{server.getsockname()[1]}/file"
        try:
            Fetching("a host", downloading.SLOW).fetch(RemoteFile(address, 1000, "md5", ""), io.BytesIO())
        except TooSlow as error:
            fetched.append(error)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threads = [threading.Thread(target=each, daemon=True) for each in (trickle, fetch)]
        for thread in threads:
            thread.start()
        threads[1].join(20)
        ended.set()
    assert len(fetched) == 1 and str(fetched[0]).startswith("slow, ")


def test_where_both_fail_one_line_has_both_reasons_and_the_way_by_hand(two_hosts, tmp_path):
    toronto, face = two_hosts
    toronto.status, face.cut = 503, 1000
    with pytest.raises(CifarcoreError) as caught:
        data.load_cifar100(tmp_path)
    message = str(caught.value)
    assert "answers 503 Service Unavailable; " in message and "was cut off after 1,000 of " in message
    assert "\n" not in message and len(message) < 700
    for way in ("cifar-100-python.tar.gz", data.HOME_PAGE, "cifarcore data", "--data", "CIFARCORE_DATA", "synthetic"):
        assert way in message
    assert not list(tmp_path.iterdir())


def test_the_archive_that_was_put_there_by_hand_is_taken(two_hosts, small, archive, tmp_path):
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(archive)
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert [host.asked for host in two_hosts] == [0, 0]


def test_an_archive_without_its_files_is_left_for_the_second_host(two_hosts, small, tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR100

    monkeypatch.setattr(CIFAR100, "train_list", [["train", "0" * 32]])
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)
    assert [host.asked for host in two_hosts] == [1, 2]


def serve_by_hugging_face(two_hosts, splits, monkeypatch, **changed):
    """Other splits at the second host, whose checksums fit; the first is down."""
    toronto, face = two_hosts
    toronto.status = 503
    face.contents = splits | changed
    address = hugging_face.files()["test"].url.removesuffix("/test")
    as_hugging_face(address, face.contents, monkeypatch)


def test_test_images_in_another_order_are_brought_into_the_official_one(
    two_hosts, small, splits, tmp_path, monkeypatch
):
    order = np.random.default_rng(1).permutation(100)
    other = make_parquet(small["x_test"][order], small["y_test"][order])
    serve_by_hugging_face(two_hosts, splits, monkeypatch, test=other)
    data.load_cifar100(tmp_path)
    check_same(tmp_path, small)


def test_what_is_not_cifar100_is_refused_whatever_its_checksum(two_hosts, small, splits, tmp_path, monkeypatch):
    x, y = small["x_train"], small["y_train"]
    order = np.random.default_rng(1).permutation(500)
    grey = make_parquet(x[..., 0], y)
    faults = {
        "another order": make_parquet(x[order], y[order]),
        "other images or labels": make_parquet(x, np.roll(y, 1)),
        "499 images instead of 500": make_parquet(x[1:], y[1:]),
        "32 x 32 pixels, L": grey,
        "16 x 32 pixels": make_parquet(x[:, :, :16], y),
        "cannot be read": b"PAR1 and then nothing PAR1",
    }
    for reason, content in faults.items():
        serve_by_hugging_face(two_hosts, splits, monkeypatch, train=content)
        with pytest.raises(CifarcoreError, match=reason):
            data.load_cifar100(tmp_path)
        assert not list(tmp_path.iterdir())


def test_a_full_disk_is_no_fault_of_a_host(two_hosts, tmp_path, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(data, "atomic_write", full)
    with pytest.raises(CifarcoreError, match=r"\(No space left on device\)"):
        data.load_cifar100(tmp_path)
    assert two_hosts[1].asked == 0


def test_the_mirror_that_hugging_faces_tools_are_given_is_asked(monkeypatch):
    assert {each.url.split("/")[2] for each in hugging_face.files().values()} == {"huggingface.co"}
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/hf/")
    for split, file in hugging_face.files().items():
        assert file.url.startswith("https://mirror.example/hf/datasets/uoft-cs/cifar100/") and split in file.url


@pytest.mark.parametrize("address", ["file:///etc", "ftp://127.0.0.1:9", "data:", "mirror", "http://[", "http://a b"])
def test_only_the_web_is_asked(address):
    with tempfile.TemporaryFile() as out, pytest.raises(SourceError):
        Fetching("a host", 0).fetch(RemoteFile(f"{address}/passwd", 10, "sha256", ""), out)


def test_progress_names_the_host_and_why_others_were_left(two_hosts, tmp_path, capsys):
    two_hosts[0].status = 503
    data.load_cifar100(tmp_path)
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert (
        last.startswith("Downloading CIFAR-100 from 127.0.0.1:") and "answers 503 Service Unavailable): 100% of" in last
    )
    assert progress_share(last) == 1.0


def test_a_terminal_keeps_progress_in_one_line(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    fetching = Fetching("a host", 0, total=200)
    for _ in range(2):
        fetching._said -= 2
        fetching._report(100, 1e6)
    shown = sys.stderr.getvalue()
    assert shown.count("\r") == 2 and "\n" not in shown and "50% of" in shown and "100% of" in shown


def test_only_lines_of_progress_have_a_share():
    line = "Downloading CIFAR-100 from huggingface.co (www.cs.toronto.edu: slow, 12 KB/s): 7% of 142 MB, 1.20 MB/s"
    assert progress_share(line) == 0.07
    assert progress_share("cifarcore: CIFAR-100 could not be found") is None and progress_share("") is None


def test_the_reason_of_each_source_is_kept_short():
    def no(fetching):
        raise SourceError("no\nsuch  thing" + "!" * 1000)

    with pytest.raises(SourceError) as caught:
        first_that_works([("a", no), ("b", no)])
    assert str(caught.value).startswith("a: no such thing!") and len(str(caught.value)) < 300


def test_of_slow_sources_the_fastest_is_asked_first_again():
    asked = []

    def slow(rate):
        def given(fetching):
            asked.append((fetching.source, fetching.least))
            if fetching.least == downloading.SLOW:
                raise TooSlow(rate)
            return "it"

        return given

    assert first_that_works([("a", slow(1000.0)), ("b", slow(2000.0))]) == "it"
    assert asked == [("a", downloading.SLOW), ("b", downloading.SLOW), ("b", downloading.SLOWEST)]


def test_what_was_received_is_written_as_it_came(archive):
    import hashlib

    with serving(Host({"": archive})) as address, tempfile.TemporaryFile() as out:
        file = RemoteFile(f"{address}/any", len(archive), "sha256", hashlib.sha256(archive).hexdigest())
        Fetching("a host", 0).fetch(file, out)
        out.seek(0)
        assert out.read() == archive
