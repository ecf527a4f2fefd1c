"""A zip of pictures: sizes, colours, labels, and names that lead elsewhere."""

import io
import stat
import zipfile

import numpy as np
import pytest
from PIL import Image

from core.errors import UserFacingError
from core.facts import Wanted
from data_files import extract_data, inspect_data


def picture(pixels, format="PNG", mode=None):
    stream = io.BytesIO()
    image = Image.fromarray(np.asarray(pixels, dtype=np.uint8))
    (image.convert(mode) if mode else image).save(stream, format)
    return stream.getvalue()


def packed(files):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name, body)
    return stream.getvalue()


def refusal(files):
    with pytest.raises(UserFacingError) as caught:
        inspect_data(files if isinstance(files, bytes) else packed(files))
    return caught.value.sentence


@pytest.fixture
def grey(rng):
    return rng.integers(0, 256, (4, 6, 5), dtype=np.uint8)


@pytest.fixture
def colour(rng):
    return rng.integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)


@pytest.mark.parametrize("format", ["PNG", "BMP"])
@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_labels_come_from_folders(format, kind, request):
    pixels = request.getfixturevalue(kind)
    names = ["set/dog/b.x", "set/cat/a.x", "set/dog/a.x", "set/cat/b.x"]
    data = packed(dict(zip(names, (picture(each, format) for each in pixels), strict=True)))
    facts = inspect_data(data)
    assert (facts.format, facts.rows, facts.lower, facts.upper) == ("images", 4, 0, 255)
    assert facts.shape == (6, 5, 1 if kind == "grey" else 3)
    assert [each.name for each in facts.columns] == ["file", "label"]
    assert facts.columns[1].categories == ("cat", "dog")
    found = extract_data(data, "images", facts.dialect, Wanted(label="label", classes=("dog", "cat"), id="file"))
    order = np.argsort(names)
    np.testing.assert_array_equal(found.rows, pixels[order].reshape(4, *facts.shape))
    assert found.row_ids == tuple(sorted(names))
    assert found.labels.tolist() == [1, 1, 0, 0]


def test_labels_and_more_come_from_a_table(grey):
    files = {f"images/{i}.png": picture(each) for i, each in enumerate(grey)}
    table = "file,label,held_out\n3.png,yes,1\n2.png,no,0\nimages/1.png,no,0\n0.png,yes,1\nother.png,no,1\n"
    data = packed(files | {"labels.csv": table})
    facts = inspect_data(data)
    assert [each.name for each in facts.columns] == ["file", "label", "held_out"]
    wanted = Wanted(label="label", classes=("no", "yes"), held_out="held_out")
    found = extract_data(data, "images", facts.dialect, wanted)
    assert found.labels.tolist() == [1, 0, 0, 1]
    assert found.held_out.tolist() == [True, False, False, True]


def test_pictures_in_one_folder_have_no_labels(grey):
    facts = inspect_data(packed({f"all/{i}.png": picture(each) for i, each in enumerate(grey)}))
    assert [each.name for each in facts.columns] == ["file"]
    assert facts.title == "4 pictures of 6 by 5 pixels, grey, no labels"


def test_a_jpeg_is_what_pillow_reads(colour):
    body = picture(colour[0], "JPEG")
    data = packed({"a/1.jpg": body, "b/2.jpg": picture(colour[1], "JPEG")})
    found = extract_data(data, "images", {}, Wanted())
    np.testing.assert_array_equal(found.rows[0], np.asarray(Image.open(io.BytesIO(body))))


@pytest.mark.parametrize(
    ("mode", "channels", "note"),
    [("RGBA", 3, "transparency"), ("P", 3, "palette"), ("LA", 1, "transparency"), ("1", 1, "black and white")],
)
def test_other_colours_are_turned_with_a_note(mode, channels, note, colour):
    facts = inspect_data(packed({f"{i}.png": picture(each, mode=mode) for i, each in enumerate(colour)}))
    assert facts.shape == (6, 5, channels)
    assert len(facts.notes) == 1
    assert note in facts.notes[0]


def test_the_litter_of_systems_is_left_out_with_a_note(grey):
    files = {"a/1.png": picture(grey[0]), "a/.DS_Store": b"\0", "__MACOSX/a/._1.png": b"\0", "Thumbs.db": b"x"}
    facts = inspect_data(packed(files))
    assert facts.rows == 1
    assert "3 files of the operating system left out" in facts.notes


def test_the_first_picture_of_another_size_is_named(grey, colour):
    files = {"a.png": picture(grey[0]), "b.png": picture(grey[1]), "c.png": picture(grey[2][:5])}
    assert "'c.png' is 5 by 5 pixels in grey and 'a.png' is 6 by 5" in refusal(files)
    assert "'b.png' is 6 by 5 pixels in colour" in refusal(files | {"b.png": picture(colour[1])})


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        ({"x/y.png": "PNG"}, "no folder and others do"),
        ({"notes.bin": b"\0\1"}, "'notes.bin', neither a PNG"),
        ({"run.py": b"print()"}, "'run.py', neither a PNG"),
        ({"more.zip": packed({"a": b"b"})}, "holds another, 'more.zip'"),
        ({"a.csv": "file,label\n", "b.csv": "file,label\n"}, "2 tables"),
        ({"a.csv": "file,label\n1.png,x\n"}, "does not name '0.png'"),
        ({"a.csv": "file,label\n0.png,x\n0.png,y\n"}, "names a picture twice"),
        ({"a.csv": "name,value\n0.png,x\n"}, "no columns file and label"),
        ({"a.csv": "file,label\n0.png\n"}, "Line 2 of the table"),
        ({"a.csv": b"file,label\n\xff\xfe,1\n"}, "cannot be read"),
        ({"../x.png": "PNG"}, "'../x.png', a name that leads out of it"),
        ({"/etc/x.png": "PNG"}, "leads out of it"),
        ({"a\\..\\x.png": "PNG"}, "leads out of it"),
        ({"c:x.png": "PNG"}, "leads out of it"),
        ({"cut.png": "CUT"}, "'cut.png' is damaged"),
        ({"fake.png": b"\x89PNG\r\n\x1a\n" + b"x" * 100}, "'fake.png' is damaged"),
        ({"a.gif": b"GIF89a"}, "'a.gif', neither"),
    ],
)
def test_an_archive_with_something_else_in_it_is_refused(extra, part, grey):
    bodies = {"PNG": picture(grey[1]), "CUT": picture(grey[1])[:-20]}
    files = {"0.png": picture(grey[0])} | {name: bodies.get(body, body) for name, body in extra.items()}
    assert part in refusal(files)


def test_deep_pictures_are_refused_with_a_remedy():
    stream = io.BytesIO()
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(stream, "PNG")
    assert "8 bits a channel" in refusal({"a.png": stream.getvalue()})


def test_links_and_locked_archives_are_refused(grey):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.png", picture(grey[0]))
        link = zipfile.ZipInfo("b.png")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "'b.png', which is a link" in refusal(stream.getvalue())
    locked = bytearray(packed({"a.png": picture(grey[0])}))
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    assert "encrypted" in refusal(bytes(locked))


def test_two_files_of_one_name_are_refused(grey):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("a.png", picture(grey[0]))
        archive.writestr("a.png", picture(grey[1]))
    assert "'a.png' twice" in refusal(stream.getvalue())
