"""NPY and NPZ: tables, pictures in either layout, columns beside them, headers that lie."""

import io

import numpy as np
import pytest

from core.errors import UserFacingError
from core.facts import Wanted
from core.nouns import Feature
from data_files import extract_data, inspect_data


def npy(array, **options):
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def npz(compressed=False, **arrays):
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **arrays)
    return stream.getvalue()


def refusal(data):
    with pytest.raises(UserFacingError) as caught:
        inspect_data(data)
    return caught.value.sentence


def real(name):
    return Feature(name, lower=-1e9, upper=1e9)


@pytest.mark.parametrize("dtype", ["f8", ">f4", "f2", "i4", "u1", "?", ">i8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_matrix_is_a_table(dtype, order, rng):
    matrix = np.asarray(rng.integers(0, 2, (50, 3)), dtype=dtype, order=order)
    matrix[0] = [0, 1, 0]
    data = npy(matrix)
    facts = inspect_data(data)
    assert (facts.format, facts.rows, [each.name for each in facts.columns]) == ("numpy", 50, ["x0", "x1", "x2"])
    assert facts.shape == ()
    found = extract_data(data, "numpy", facts.dialect, Wanted((real("x2"), real("x0"))))
    np.testing.assert_array_equal(found.rows, matrix[:, [2, 0]].astype(float))


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(("rows", "label"), [("X", "y"), ("data", "target"), ("features", "labels"), ("x", "label")])
def test_usual_names_are_told(compressed, rows, label, rng):
    matrix, classes = rng.normal(size=(40, 2)), np.array(["no", "yes"])[rng.integers(0, 2, 40)]
    data = npz(
        compressed, **{rows: matrix, label: classes, "row": np.arange(40), "feature_names": np.array(["a", "b"])}
    )
    facts = inspect_data(data)
    assert [each.name for each in facts.columns] == ["a", "b", label, "row"]
    wanted = Wanted((real("b"), real("a")), label=label, classes=("no", "yes"), id="row")
    found = extract_data(data, "numpy", facts.dialect, wanted)
    np.testing.assert_array_equal(found.rows, matrix[:, ::-1])
    np.testing.assert_array_equal(found.labels, classes == "yes")
    assert found.row_ids == tuple(map(str, range(40)))


@pytest.mark.parametrize(
    ("shape", "layout", "expected"),
    [
        ((5, 8, 6), "NHW", (8, 6, 1)),
        ((5, 8, 6, 3), "NHWC", (8, 6, 3)),
        ((5, 3, 8, 6), "NCHW", (8, 6, 3)),
        ((5, 1, 8, 6), "NCHW", (8, 6, 1)),
        ((5, 8, 6, 1), "NHWC", (8, 6, 1)),
    ],
)
def test_pictures_are_turned_to_height_width_channels(shape, layout, expected, rng):
    images = rng.integers(0, 256, shape, dtype=np.uint8)
    data = npz(images=images, labels=np.arange(5) % 2, held_out=np.arange(5) > 2)
    facts = inspect_data(data)
    assert (facts.shape, facts.dialect["layout"], facts.rows) == (expected, layout, 5)
    assert [each.name for each in facts.columns] == ["label", "held_out"]
    wanted = Wanted(label="label", classes=("0", "1"), held_out="held_out")
    found = extract_data(data, "numpy", facts.dialect, wanted)
    axes = {"NHW": (0, 1, 2), "NHWC": (0, 1, 2, 3), "NCHW": (0, 2, 3, 1)}[layout]
    reference = images.transpose(axes).reshape(5, *expected)
    np.testing.assert_array_equal(found.rows, reference)
    assert found.rows.dtype == np.float64
    assert found.labels.tolist() == [0, 1, 0, 1, 0]
    assert found.held_out.tolist() == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("least", "most", "bounds"), [(0, 250, (0, 255)), (0.0, 0.98, (0, 1)), (0, 16, (0, 16)), (-1.0, 1.0, (-1, 1))]
)
def test_the_range_of_pixels_is_told_from_the_data(least, most, bounds):
    images = np.linspace(least, most, 5 * 64).reshape(5, 8, 8)
    facts = inspect_data(npy(images))
    assert (facts.lower, facts.upper) == bounds
    assert f"between {least:g} and {most:g}" in facts.notes[-1]
    assert facts.columns == ()


def test_pictures_without_columns_beside_them_are_rows():
    images = np.arange(5 * 64.0).reshape(5, 8, 8)
    data = npy(images)
    found = extract_data(data, "numpy", inspect_data(data).dialect, Wanted(classes=("a", "b")))
    np.testing.assert_array_equal(found.rows[..., 0], images)
    assert found.row_ids == ("1", "2", "3", "4", "5")
    assert found.labels.tolist() == [-1] * 5


def test_pixels_that_are_no_numbers_are_refused_as_rows():
    images = np.ones((3, 4, 4))
    images[1, 0, 0] = np.nan
    facts = inspect_data(npy(images))
    assert "no finite numbers" in facts.notes[-1]
    with pytest.raises(UserFacingError, match="Picture 2"):
        extract_data(npy(images), "numpy", facts.dialect, Wanted())


def test_another_layout_than_agreed_is_refused():
    with pytest.raises(UserFacingError, match="cannot be read as agreed"):
        extract_data(npy(np.ones((3, 8, 8, 3))), "numpy", {"layout": "NCHW"}, Wanted())


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"a": np.ones((3, 2)), "b": np.ones((3, 2))}, "holds the rows cannot be told: 'a', 'b'"),
        ({"x": np.ones((3, 2)), "X": np.ones((3, 2))}, "holds the rows cannot be told"),
        ({"x": np.ones((3, 2)), "y": np.ones(3), "labels": np.ones(3)}, "holds the labels cannot be told"),
        ({"x": np.ones((3, 2)), "y": np.ones(4)}, "has the shape 4 and one label a row is needed, 3 in all"),
        ({"x": np.ones((3, 2)), "y": np.eye(3)}, "one label a row"),
        ({"x": np.ones((3, 3, 5, 3))}, "neither a table nor pictures"),
        ({"x": np.ones((3, 4, 4, 2))}, "neither a table nor pictures"),
        ({"x": np.ones((3, 4, 4, 2, 2))}, "neither a table nor pictures"),
        ({"x": np.ones((3, 2)), "x0": np.ones(3)}, "both called 'x0'"),
        ({"x": np.ones((0, 2))}, "no rows"),
        ({"x": np.ones((3, 2), complex)}, "of the type complex128"),
        ({"x": np.ones(3, [("a", "f8"), ("b", "f8")])}, "of the type"),
        ({"x": np.float64(3)}, "neither a table"),
    ],
)
def test_arrays_that_cannot_be_told_are_refused_and_named(arrays, part):
    assert part in refusal(npz(**arrays))


def test_an_array_that_is_not_used_is_named():
    facts = inspect_data(npz(x=np.ones((3, 2)), y=np.arange(3), target_names=np.array(["a", "b"])))
    assert facts.notes == ("the array 'target_names' of shape 2 is not used",)


def test_objects_are_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "marker"), "w"))

    array = np.array([Bomb(), Bomb()], dtype=object)
    for data in (npy(array, allow_pickle=True), npz(x=np.ones((2, 2)), y=array)):
        assert "Python objects" in refusal(data)
    assert not list(tmp_path.iterdir())


def lying(shape, dtype="<f8", body=b"12345678"):
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + body


@pytest.mark.parametrize("wrap", [lambda each: each, lambda each: in_zip(each)])
@pytest.mark.parametrize(
    ("shape", "part"),
    [
        ((10**12,), "1,000,000,000,000 values, and 50,000,000 are taken at most"),
        ((10**12, 0), "1,000,000,000,000 rows and 5,000,000 are taken at most"),
        ((2**40, 2**40, 2**40), "are taken at most"),
        ((3,), "claims the shape 3, which is not what follows"),
        ((-1, -1), "negative"),
    ],
)
def test_a_header_is_not_believed(shape, part, wrap):
    assert part in refusal(wrap(lying(shape)))


def in_zip(data):
    import zipfile

    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.npy", data)
    return stream.getvalue()
