"""Recordings that failed, and what `mafs bag info` and `mafs replay` say of them now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mafs_ros.bags.describe import describe_bag
from mafs_ros.bags.reader import Bag
from mafs_ros.bags.topics import choose_topics
from mafs_ros.cli import main, make_parser
from mafs_ros.commands.replay.options import options_from
from mafs_ros.commands.replay.problems import explain, remarks_on_the_bag
from mafs_ros.commands.replay.result import ReplayResult
from mafs_ros.evaluation.bag_pairs import PairReader
from mafs_ros.evaluation.sampled_pairs import read_pairs
from mafs_ros.parameters.checks import check_together, complete
from mafs_ros.parameters.file import read_settings


def info(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = main(["bag", "info", *map(str, words)])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def proposed(text: str) -> dict[str, object]:
    block = text[text.index("/**:") :].partition("problem:")[0]
    return yaml.safe_load(block)["/**"]["ros__parameters"]


@pytest.mark.parametrize(
    ("case", "words", "parameters"),
    [
        (
            "zero_stamps/both_zero",
            "RGB camera .* and the thermal camera .* are all 0",
            {"pair_by": "arrival"},
        ),
        (
            "zero_stamps/thermal_zero",
            r"thermal camera \(/boson/image_raw\) are all 0",
            {"pair_by": "arrival"},
        ),
        (
            "zero_stamps/thermal_constant",
            r"thermal camera \(/boson/image_raw\) are all the same",
            {"pair_by": "arrival"},
        ),
        (
            "offset_beyond_a_period/late_500ms_10hz",
            "thermal camera .* are late by 0.504 s: they lie 0.483 s after the reception",
            {"thermal_time_offset_s": -0.504},
        ),
        (
            "offset_beyond_a_period/late_70ms_30hz",
            "received 0.075 s after .* where they are wrong, set thermal_time_offset_s: -0.07",
            {},
        ),
        (
            "offset_beyond_a_period/early_250ms_10hz",
            "received 0.271 s after .* where they are wrong, set thermal_time_offset_s: 0.25",
            {},
        ),
    ],
)
def test_stamps(
    cases: Path, capsys: pytest.CaptureFixture[str], case: str, words: str, parameters: dict
) -> None:
    code, text = info(capsys, cases / case)
    assert code == 1
    assert re.search(f"problem: .*{words}", text), text
    assert "that fit" not in text
    assert parameters.items() <= proposed(text).items()


def test_every_proposal_is_one_that_the_node_takes(cases: Path) -> None:
    """And subscribes the topics that were recorded."""
    bags = sorted(path.parent for path in cases.rglob("metadata.yaml"))
    tried = 0
    for path in bags:
        with Bag(path, salvage=True) as bag:
            text, _ = describe_bag(bag)
            recorded = {topic.name: topic.compressed for topic in bag.image_topics}
        if "/**:" not in text:
            continue
        tried += 1
        parameters = proposed(text)
        check_together(complete(parameters))
        assert parameters.keys() <= complete({}).keys()
        for camera in ("rgb", "thermal"):
            name, transport = parameters[f"{camera}_topic"], parameters[f"{camera}_transport"]
            name += "/compressed" * (transport == "compressed")
            assert recorded[name] == (transport != "raw"), path
    assert tried >= 10


@pytest.mark.parametrize(
    ("case", "topic", "reason"),
    [
        ("jpeg_of_16bit", "/boson/image_raw/compressed", "JPEG that keeps 8 of the 16 bits"),
        ("int16", "/boson/image_raw", "got encoding '16SC1'"),
    ],
)
def test_why_no_image_can_be_read(
    cases: Path, capsys: pytest.CaptureFixture[str], case: str, topic: str, reason: str
) -> None:
    code, text = info(capsys, cases / "bag_info_hides_reason" / case, "--thermal-topic", topic)
    assert code == 1
    assert f"problem: {topic}: 10 of 10 images looked at are of no use: got " in text
    assert reason in text
    assert "that fit" not in text


@pytest.mark.parametrize("case", ["compressed_depth", "tiff32f"])
def test_lossless_images_are_read(
    cases: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    code, text = info(capsys, cases / "bag_info_hides_reason" / case)
    assert code == 0
    assert re.search(r"thermal values \((uint16|float32)\)", text)


def test_metadata(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = info(capsys, cases / "metadata" / "count_zero")
    assert code == 0
    assert "pairs: 10 of 10 RGB images" in text
    assert len(read_pairs(cases / "metadata" / "count_zero", 4)) == 4
    code, text = info(capsys, cases / "metadata" / "wal_lost")
    assert code == 1
    assert "drive_0.db3 holds no tables" in text
    assert "copy drive_0.db3-wal too" in text
    assert "reindex" not in text
    code, text = info(capsys, cases / "metadata" / "parent")
    assert code == 1
    assert "a folder of 1: give one of them" in text
    assert "parent/drive1" in text


def test_topics_that_cannot_be_guessed(cases: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cases / "name_it_but_how"
    for case, camera in (("stereo", "rgb"), ("xenics_mono8", "thermal")):
        assert main(["quantize", "--data", str(folder / case)]) == 1
        assert f"; --{camera}-topic TOPIC names it" in capsys.readouterr().err
    topics = {"stereo": ("/zed/left/image_rect_color", ""), "thermal_in_rgb8": ("", "")}
    for case, names in topics.items():
        assert len(read_pairs(folder / case, 2, topics=names)) == 2
    assert len(read_pairs(folder / "xenics_mono8", 2, topics=("", "/xenics/image_raw"))) == 2
    code, text = info(capsys, cases / "compressed_topic_names" / "odd_names")
    assert code == 0
    assert proposed(text)["rgb_transport"] == "compressed_as_named"


def replayed(path: Path, tmp_path: Path, **settings: object) -> ReplayResult:
    """What a replay has read of a bag, without an engine."""
    words = ["replay", str(path), "--out", str(tmp_path)]
    given = [f"{name}:={value}" for name, value in settings.items()]
    with Bag(path) as bag:
        topics = choose_topics(bag)
        reader = PairReader(topics, read_settings(None, given), None, lambda _: False)
        assert list(reader.frames(bag)) == []
    return ReplayResult(
        options_from(make_parser().parse_args(words)),
        read_settings(None, given),
        topics,
        pairs=reader.log,
    )


@pytest.mark.parametrize(
    ("case", "words", "pairs"),
    [
        ("zero_stamps/both_zero", "all 0", 10),
        ("zero_stamps/thermal_zero", "all 0", 10),
        ("zero_stamps/thermal_constant", "all the same", 10),
        ("offset_beyond_a_period/late_500ms_10hz", "late by 0.504 s", 20),
    ],
)
def test_replay_names_wrong_stamps_and_what_it_advises_pairs(
    cases: Path, tmp_path: Path, case: str, words: str, pairs: int
) -> None:
    (problem,) = explain(replayed(cases / case, tmp_path), None)
    assert words in problem
    assert f"pairs {pairs} of {pairs}" in problem
    advice = dict(re.findall(r"-p (\w+):=(\S+)", problem))
    result = replayed(cases / case, tmp_path, **advice)
    assert result.pairs.count == pairs
    assert explain(result, None) == []


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("zero_stamps/both_zero", "are all 0"),
        ("zero_stamps/thermal_zero", "are all 0"),
        ("zero_stamps/thermal_constant", "are all the same"),
        ("offset_beyond_a_period/late_500ms_10hz", "are late by 0.504 s"),
    ],
)
def test_the_demo_names_wrong_stamps_before_it_starts(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, words: str
) -> None:
    demo = pytest.importorskip("mafs_ros.demo.__main__", reason="needs ROS 2")
    out = tmp_path / "demo"
    assert demo.main(["--bag", str(cases / case), "--out", str(out)]) == 1
    error = capsys.readouterr().err
    assert words in error and not list((out / "log").iterdir())
    command = re.search(r"`mafs replay (\S+) --out DIR (.*)` pairs (\d+) of \3", error)
    assert command is not None, error
    advice = dict(re.findall(r"-p (\w+):=(\S+)", command[2]))
    result = replayed(Path(command[1]), tmp_path, **advice)
    assert result.pairs.count == int(command[3])
    assert explain(result, None) == []


@pytest.mark.parametrize("case", ["late_70ms_30hz", "early_250ms_10hz"])
def test_replay_says_that_stamps_may_be_wrong(cases: Path, tmp_path: Path, case: str) -> None:
    """Its pairs may be right: exit code 0, and a warning."""
    result = replayed(cases / "offset_beyond_a_period" / case, tmp_path)
    assert explain(result, None) == []
    (remark,) = remarks_on_the_bag(result)
    assert re.search("received 0.* where they are wrong, set thermal_time_offset_s", remark)


def test_quantize_says_why_nothing_pairs(cases: Path) -> None:
    with pytest.raises(ValueError, match="no pair found; the stamps of the thermal .* all 0"):
        read_pairs(cases / "zero_stamps" / "thermal_zero", 4)
