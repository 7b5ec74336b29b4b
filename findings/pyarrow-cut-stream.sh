#!/bin/sh
# pyarrow 26.0.1: a stream of Arrow record batches that was cut off between two batches is read up
# to there without error or warning; the format leaves the end mark (FF FF FF FF 00 00 00 00) out
# of what is required. Three batches of two rows, cut after the first: two rows. Look at the last
# eight bytes of the file.
#
# Seen: "whole 6 rows, cut 2 rows"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyarrow==26.0.1
seen=$("$folder/venv/bin/python" - <<'PY'
import pyarrow as pa


def stream(table):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        for batch in table.to_batches(max_chunksize=2):
            out.write_batch(batch)
    return sink.getvalue().to_pybytes()


table = pa.table({"a": range(6)})
whole, first = stream(table), stream(table.slice(0, 2))
cut = whole[: len(first) - 8]  # its end mark would be here
rows = [pa.ipc.open_stream(data).read_all().num_rows for data in (whole, cut)]
print(f"whole {rows[0]} rows, cut {rows[1]} rows")
PY
)
echo "$seen"
test "$seen" = "whole 6 rows, cut 2 rows"
