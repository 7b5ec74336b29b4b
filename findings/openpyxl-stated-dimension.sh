#!/bin/sh
# openpyxl 3.1.5: in read-only mode, a sheet ends where its <dimension> says, whatever it holds. A
# sheet of three rows that states "A1" (as other programs write) has one row, and no warning is
# given; the usual mode reads all. worksheet.reset_dimensions() before iterating helps.
#
# Seen: "rows: 3 as usual, 1 read-only, 3 after reset_dimensions; warnings 0"
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openpyxl==3.1.5
seen=$("$folder/venv/bin/python" - "$folder" <<'PY'
import sys
import warnings
import zipfile

import openpyxl

before, after = f"{sys.argv[1]}/before.xlsx", f"{sys.argv[1]}/after.xlsx"
book = openpyxl.Workbook()
for row in (["a", "y"], [1, 2], [3, 4]):
    book.active.append(row)
book.save(before)
with zipfile.ZipFile(before) as old, zipfile.ZipFile(after, "w") as new:
    for name in old.namelist():
        new.writestr(name, old.read(name).replace(b'ref="A1:B3"', b'ref="A1"'))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    usual = len(list(openpyxl.load_workbook(after).active.iter_rows()))
    sheet = openpyxl.load_workbook(after, read_only=True).active
    stated = len(list(sheet.iter_rows()))
    sheet.reset_dimensions()
    reset = len(list(sheet.iter_rows()))
print(
    f"rows: {usual} as usual, {stated} read-only, {reset} after reset_dimensions; "
    f"warnings {len(caught)}"
)
PY
)
echo "$seen"
test "$seen" = "rows: 3 as usual, 1 read-only, 3 after reset_dimensions; warnings 0"
