"""What `diff` writes to a terminal moves nothing there, whatever a stranger's report holds."""

from argparse import Namespace
from dataclasses import replace
from pathlib import Path

from command import diff
from engine.subjects import load_subject
from reports import bundle
from tests.reports.test_bundle import report


def test_a_strangers_words_do_not_reach_the_terminal_as_they_are(tmp_path: Path, capsys) -> None:
    made = report(load_subject("tumours"))
    for name, figure in (("old", "0.1"), ("new", "\x1b]0;pwned\x07\x1b[31m0.2\nrule: nothing")):
        cover = {"figures": [[figure, "score"]]}
        printed = replace(made, printed={"title": "A title", "cover": cover})
        (tmp_path / f"{name}.assay").write_bytes(bundle.pack(printed))
    diff.run(Namespace(old=tmp_path / "old.assay", new=tmp_path / "new.assay", out=None))
    said = capsys.readouterr().out
    assert said == "figures: score: 0.1 before, \ufffd]0;pwned\ufffd\ufffd[31m0.2 rule: nothing now.\n"
