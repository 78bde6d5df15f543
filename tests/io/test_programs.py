"""What spreadsheets and the programs of the field write is read, each with its right values."""

import numpy as np
import pytest

from autods.core import UserError
from autods.io.tables import read_table

#: The same two localizations: frames 0 and 4, (1250.5, 2100) and (310, 47.25) nm, 900 and 1500 photons.
TEXTS = {
    "autods": "frame,x_nm,y_nm,photons\n0,1250.5,2100,900\n4,310,47.25,1500\n",
    "ThunderSTORM": '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]"\n'
    "1,1,1250.5,2100,130,900\n2,5,310,47.25,130,1500\n",
    "German Excel": "frame;x [nm];y [nm];intensity [photon]\n1;1250,5;2100;900\n5;310;47,25;1500\n",
    "Excel with groups of thousands": "sep=;\nframe;x [nm];y [nm];intensity [photon]\n"
    "1;1.250,5;2.100,0;900\n5;310,0;47,25;1.500,0\n",
    "quoted cells": 'frame,"x [nm]","y [nm]","intensity [photon]"\n'
    '"1","1250,5","2100","900"\n"5","310","47,25","1500"\n',
    "no blank before the unit": "frame,x[nm],y[nm],intensity[photon]\n1,1250.5,2100,900\n5,310,47.25,1500\n",
    "round brackets": "Frame\tX (nm)\tY (nm)\tPhotons\n1\t1250.5\t2100\t900\n5\t310\t47.25\t1500\n",
    "trailing commas": "frame,x [nm],y [nm],intensity [photon],\n1,1250.5,2100,900,\n5,310,47.25,1500,\n",
    "empty cells": "frame,x [nm],y [nm],sigma [nm],intensity [photon]\n"
    "1,1250.5,2100,,900\n5,310,47.25,,1500\n",
    "a column of words": "channel,frame,x [um],y [um],photons\n"
    "Cy5,1,1.2505,2.1,900\nCy5,5,0.31,0.04725,1500\n",
    "Windows": "\ufeffframe,x [nm],y [nm],intensity [photon]\r\n1,1250.5,2100,900\r\n5,310,47.25,1500\r\n",
    "SMAP": "frame,xnm,ynm,phot,locprecnm,filenumber\n1,1250.5,2100,900,8,1\n5,310,47.25,1500,6,1\n",
    "DECODE in pixels": '# DECODE EmitterSet\n# {"xy_unit": "px", "px_size": [100.0, 100.0]}\n'
    '# {"version": "0.10"}\n'
    "frame_ix,id,x,y,z,phot\n0,0,20.5,12.005,0,900\n4,1,-0.0275,2.6,0,1500\n",
    "DECODE in nm": '# {"xy_unit": "nm", "px_size": [100.0, 100.0]}\n'
    "x,y,z,phot,frame_ix\n2050,1200.5,0,900,0\n-2.75,260,0,1500,4\n",
    "rapidSTORM": '# <localizations insequence="true" repetitions="variable">'
    '<field identifier="Position-0-0" syntax="floating point" unit="nanometer" min="0 m" max="1e-5 m" />'
    '<field identifier="Position-1-0" syntax="floating point" unit="nanometer" />'
    '<field identifier="ImageNumber-0-0" syntax="integer" unit="frame" min="0 fr" />'
    '<field identifier="Amplitude-0-0" unit="A/D count" /></localizations>\n'
    "1250.5 2100 0 8000\n310 47.25 4 9000\n",
    "SMLM challenge": "Ground-truth,frame,xnano,ynano,znano,intensity \n"
    "1,1,1250.5,2100,0,900\n2,5,310,47.25,0,1500\n",
    "ZEN": "Index\tFirst Frame\tNumber Frames\tPosition X [nm]\tPosition Y [nm]\t"
    "Precision [nm]\tNumber Photons\n"
    "1\t1\t1\t1250.5\t2100\t8\t900\n2\t5\t1\t310\t47.25\t6\t1500\n",
    "NIS-Elements": "Channel Name\tX\tY\tXc\tYc\tHeight\tPhotons\tFrame\n"
    "647\t1\t2\t1250.5\t2100\t3\t900\t1\n647\t1\t2\t310\t47.25\t3\t1500\t5\n",
    "Picasso as text": "frame,x,y,photons,lpx\n0,12.005,20.5,900,0.08\n4,2.6,-0.0275,1500,0.06\n",
}


@pytest.mark.parametrize("program", list(TEXTS))
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_programs_write(tmp_path, program, encoding):
    path = tmp_path / "table.csv"
    path.write_text(TEXTS[program].lstrip("\ufeff" if encoding == "utf-16" else ""), encoding, newline="")
    table = read_table(path, 100.0)
    assert table.frame.tolist() == [0, 4]
    np.testing.assert_allclose(table.x_nm, [1250.5, 310], atol=1e-6)
    np.testing.assert_allclose(table.y_nm, [2100, 47.25], atol=1e-6)
    if program != "rapidSTORM":  # which counts in camera values
        assert table.photons.tolist() == [900, 1500]
    else:
        assert np.isnan(table.photons).all()


def test_pixels_without_a_size_are_asked_for(tmp_path):
    (tmp_path / "t.csv").write_text(TEXTS["Picasso as text"])
    with pytest.raises(UserError, match=r"give optics\.pixel_size_nm=NM"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(UserError, match="Divide it by the magnification"):
        read_table(tmp_path / "t.csv", 6500.0)


def test_rows_that_cannot_be_are_left_out_by_name(tmp_path, caplog):
    rows = ["1,10,20", "2,1e9,1e9", "3,30,nan", "-4,1,1", "5,40,50", "6.5,1,1"]
    (tmp_path / "t.csv").write_text("frame,x [nm],y [nm]\n" + "\n".join(rows) + "\n")
    table = read_table(tmp_path / "t.csv")
    assert table.frame.tolist() == [0, 4]
    assert "4 of 6 rows cannot be and are left out (frame of row 4 is -5" in caplog.text


def test_a_table_with_a_frame_0_counts_from_0(tmp_path, caplog):
    (tmp_path / "t.csv").write_text("frame,x [nm],y [nm]\n0,10,20\n3,30,40\n")
    assert read_table(tmp_path / "t.csv").frame.tolist() == [0, 3]
    assert "frame 0" in caplog.text


def test_a_copy_that_was_interrupted_in_a_row(tmp_path, caplog):
    (tmp_path / "t.csv").write_text("frame,x [nm],y [nm]\n1,10,20\n2,30,40\n3,5")
    assert read_table(tmp_path / "t.csv").frame.tolist() == [0, 1]
    assert "last row is cut off" in caplog.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("frame,x [nm],y [nm]\n1,ten,20\n", r"row 1, column x \[nm\]: 'ten' is no number"),
        ("frame,x [nm],y [nm]\n1,10,20\n2,30\n3,5,6\n", "row 2 has 2 cells for 3 columns"),
        ("frame,x [nm]\n1,10\n", 'no column "y'),
        ("x [nm],y [nm]\n1,10\n", 'no column "frame"'),
        ("frame,x [furlong],y [nm]\n1,10,2\n", "export it in nm"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError, match=words):
        read_table(tmp_path / "t.csv")
