import pytest

from ml import progress


def test_a_log_gets_a_plain_line_now_and_then_and_one_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("ml.progress.time.monotonic", lambda: now)
    with progress.stage("attacking") as update:
        for done in range(11):
            update(done, 10, "going well" if done == 5 else "")
            now += 1
    assert capsys.readouterr().err.splitlines() == [
        "attacking: 5 of 10, going well, 5 s left",
        "attacking: 10 of 10, took 10 s",
    ]


def test_time_left_is_judged_by_what_was_done_since_the_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training that goes on at 80 of 100 has not done those 80 now."""
    now = 0.0
    monkeypatch.setattr("ml.progress.time.monotonic", lambda: now)
    with progress.stage("training") as update:
        update(80, 100)
        now = 10.0
        update(90, 100)
    assert capsys.readouterr().err == "training: 90 of 100, 10 s left\n"


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with progress.stage("attacking") as update:
        update(3, 10, "going well")
    told = capsys.readouterr().err
    assert "attacking" in told
    assert "3/10" in told
    assert "going well" in told
