"""H.264 streams made by hand out of what x264 writes: NAL units, parameter sets and slice headers, bit by bit."""

from __future__ import annotations

import re
from fractions import Fraction

import av


def exp_golomb(value):
    return "0" * ((value + 1).bit_length() - 1) + f"{value + 1:b}"


def unit_of(first_byte, payload):
    """A NAL unit with start code, of a header byte and payload bits."""
    payload += "1" + "0" * (-(len(payload) + 1) % 8)
    raw = int(payload, 2).to_bytes(len(payload) // 8, "big")
    return b"\0\0\0\1" + bytes([first_byte]) + re.sub(rb"\x00\x00(?=[\x00-\x03])", b"\x00\x00\x03", raw)


def units_of(stream):
    """The NAL units of a raw stream: first byte, payload bits, and where in those the third Exp-Golomb code ends."""
    for unit in re.split(rb"\x00\x00\x00?\x01", stream):
        if unit:
            bits = "".join(f"{byte:08b}" for byte in unit[1:].replace(b"\x00\x00\x03", b"\x00\x00"))
            yield unit[0], bits.rstrip("0")[:-1], behind(bits, 3)


def behind(bits, codes, at=0):
    """Where a number of Exp-Golomb codes end."""
    for _ in range(codes):
        at = 2 * bits.index("1", at) - at + 1
    return at


def sps_of(profile, mb_w, mb_h, *, format_and_depth="", frame_mbs_only=True):
    """A sequence parameter set with four bits of frame_num, and pictures in decode order."""
    payload = f"{profile:08b}{0:08b}{30:08b}{exp_golomb(0)}{format_and_depth}" + "".join(map(exp_golomb, (0, 2, 4)))
    return unit_of(
        0x67, payload + "0" + exp_golomb(mb_w - 1) + exp_golomb(mb_h - 1) + ("1" if frame_mbs_only else "00") + "100"
    )


def fields_of(progressive, mb_w, mb_h):
    """Raw H.264 whose frames are made the fields of frames twice as high, top fields first.

    CAVLC slice data read the same in either. What changes is the sequence parameter set and, in slice headers,
    frame_num and, behind it, field_pic_flag and bottom_field_flag.
    """
    out, field = [sps_of(77, mb_w, mb_h, frame_mbs_only=False)], 0
    for first, bits, at in units_of(progressive):
        if first & 31 == 8:
            out.append(unit_of(first, bits))
        if first & 31 in (1, 5):
            number = f"{field // 2:04b}"  # frame_num, of four bits
            out.append(unit_of(first, bits[:at] + number + "1" + str(field & 1) + bits[at + 4 :]))
            field += 1
    return b"".join(out)


def in_mp4(template, pictures, path):
    """Pictures, each a list of NAL units with start codes, in the container of another clip of their size."""
    with av.open(str(template)) as given, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for i, units in enumerate(pictures):
            packet = av.Packet(b"".join((len(unit) - 4).to_bytes(4, "big") + unit[4:] for unit in units))
            packet.pts = packet.dts = i
            packet.duration, packet.time_base = 1, Fraction(1, 25)
            packet.is_keyframe = i == 0
            packet.stream = stream
            out.mux(packet)
    return path
