"""The benchmarks run and report what they say; how fast is for a quiet machine, never for a test."""

from made import made_run

from cifarcore.experiments import bench_metrics


def test_metrics_table_times_every_page(monkeypatch):
    monkeypatch.setattr(bench_metrics, "ROUNDS", 1)
    monkeypatch.setattr(bench_metrics, "LOOP_IMAGES", 2)
    table = bench_metrics.metrics_table(made_run(10, 500, seed=0), made_run(10, 500, seed=1, model="other"))
    assert len(table) == 5 and (table["first"] > 0).all() and (table["cached"] >= 0).all()
    assert table["ratio"].notna().sum() == 3
