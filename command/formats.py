"""An answer as bytes: JSON, Parquet or NumPy's zip. The same answer gives the same bytes."""

import io
import json

import numpy as np

from command.contract import Contract
from core.errors import UserFacingError
from reports.evidence import as_json, plain


def as_parquet(contract: Contract) -> bytes:
    """One row for each row id; what is about all of them stands under `assay` in the file's metadata.

    `values` get one column for each feature under its own name, other arrays of that shape under
    `KEY.FEATURE`.
    """
    import pyarrow
    from pyarrow import parquet

    columns: list[tuple[str, np.ndarray]] = []
    for key, value in _arrays(contract).items():
        if value.ndim == 1:
            columns.append((key.replace("row_ids", "row_id"), value))
        else:
            names = [name if key == "values" else f"{key}.{name}" for name in contract["features"]]
            columns += zip(names, value.reshape(len(value), -1).T, strict=True)
    names = [name for name, _ in columns]
    _refuse_twins(names)
    filled = [pyarrow.array(column, from_pandas=True) for _, column in columns]
    table = pyarrow.table(filled, names).replace_schema_metadata({"assay": _about(contract)})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def as_npz(contract: Contract) -> bytes:
    """The arrays and the features' names under their own names, everything else in `meta`, a string of JSON."""
    named = _arrays(contract) | {"features": np.array(contract["features"]), "meta": np.array(_about(contract))}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **named)
    return buffer.getvalue()


FORMATS = {".json": as_json, ".parquet": as_parquet, ".npz": as_npz}


def _arrays(contract: Contract) -> dict[str, np.ndarray]:
    return {key: value for key, value in contract.items() if isinstance(value, np.ndarray)}


def _about(contract: Contract) -> str:
    rest = {key: plain(value) for key, value in contract.items() if not isinstance(value, np.ndarray)}
    return json.dumps(rest, allow_nan=False)


def _refuse_twins(names: list[str]) -> None:
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UserFacingError(
                "This answer cannot be written as Parquet",
                f"Two of its columns would be called {name!r}",
                "Write .json or .npz",
            )
