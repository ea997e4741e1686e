"""Builds minimal PDF files."""

import io
import zlib
from collections.abc import Sequence

from pypdf import PdfReader, PdfWriter


def _page_stream(text: str) -> bytes:
    lines = []
    for line in text.split("\n"):
        escaped = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
        lines.append(f"({escaped}) Tj T*")
    return ("BT /F1 10 Tf 12 TL 40 800 Td\n" + "\n".join(lines) + "\nET").encode("latin-1")


def make_pdf(pages: Sequence[str], *, compress: bool = True) -> bytes:
    """Build a PDF with one page for each text."""
    return make_pdf_from_streams([_page_stream(text) for text in pages], compress=compress)


def make_scanned_pdf(pages: int) -> bytes:
    """Build a PDF whose pages have a drawing and no text."""
    return make_pdf_from_streams([b"0 0 200 200 re f"] * pages, compress=True)


def make_pdf_from_streams(contents: Sequence[bytes], *, compress: bool) -> bytes:
    count = len(contents)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, content in enumerate(contents):
        stream = zlib.compress(content) if compress else content
        stream_filter = b" /Filter /FlateDecode" if compress else b""
        objects.append(
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources "
            b"<< /Font << /F1 3 0 R >> >> /Contents %d 0 R >>" % (5 + 2 * i)
        )
        objects.append(b"<< /Length %d%s >>\nstream\n" % (len(stream), stream_filter) + stream + b"\nendstream")
    out = bytearray(b"%PDF-1.4\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n" % number + body + b"\nendobj\n"
    xref_offset = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        xref_offset,
    )
    return bytes(out)


def encrypt_pdf(content: bytes, *, password: str, owner: str | None = None) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(content)))
    writer.encrypt(password, owner, algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
