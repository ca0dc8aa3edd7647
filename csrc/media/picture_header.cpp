#include "media/picture_header.h"

#include <algorithm>
#include <cstddef>

namespace ov2::media {
namespace {

// Calls visit(unit, size) for the NAL units of a packet until it returns true. Handles both framings: length
// prefixes (avcC) and start codes (Annex B).
template <typename Visit>
void visit_nal_units(const uint8_t* data, int size, int length_size, Visit visit) {
    if (length_size > 0) {
        for (int64_t offset = 0; offset + length_size < size;) {
            uint64_t length = 0;
            for (int i = 0; i < length_size; ++i) length = length << 8 | data[offset + i];
            offset += length_size;
            auto available = std::min<int64_t>(static_cast<int64_t>(length), size - offset);
            if (available > 0 && visit(data + offset, static_cast<int>(available))) return;
            offset += static_cast<int64_t>(length);
        }
        return;
    }
    auto next_start_code = [&](int from) {
        int i = from;
        while (i + 3 < size && (data[i] != 0 || data[i + 1] != 0 || data[i + 2] != 1)) ++i;
        return i + 3 < size ? i : size;
    };
    for (int i = next_start_code(0); i < size;) {
        // A slice ends the visit, so its end need not be looked for.
        if (visit(data + i + 3, -1)) return;
        int end = next_start_code(i + 3);
        visit(data + i + 3, end - i - 3);
        i = end;
    }
}

// NAL unit length prefix in bytes, from avcC (ISO/IEC 14496-15, 5.3.3.1) or hvcC (8.3.3.1); 0 means start
// codes.
int nal_length_size(const AVCodecParameters& codec, int field_offset) {
    bool is_record = codec.extradata_size > field_offset && codec.extradata[0] == 1;
    return is_record ? (codec.extradata[field_offset] & 3) + 1 : 0;
}

// The two or three bits of the picture type that follow a start code, or -1.
int type_after_start_code(const uint8_t* data, int size, uint8_t code, int byte, int shift, int mask) {
    for (int i = 0; i + 4 + byte < size; ++i) {
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1 && data[i + 3] == code) {
            return data[i + 4 + byte] >> shift & mask;
        }
    }
    return -1;
}

}  // namespace

PictureHeader read_picture_header(const AVCodecParameters& codec, const AVPacket& packet) {
    const uint8_t* data = packet.data;
    int size = packet.size;
    bool key = (packet.flags & AV_PKT_FLAG_KEY) != 0;
    PictureHeader header;
    if (av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, nullptr) != nullptr)
        header.parameter_sets = "new";
    header.clean_access = key;
    switch (codec.codec_id) {
        case AV_CODEC_ID_H264:
            // nal_unit_type 1, 2 and 5 carry slices, 7 and 8 parameter sets; nal_ref_idc stands in bits 5-6
            // (ITU-T H.264, 7.3.1).
            header.clean_access = false;
            visit_nal_units(data, size, nal_length_size(codec, 4), [&](const uint8_t* unit, int bytes) {
                int type = unit[0] & 31;
                if ((type == 7 || type == 8) && bytes > 0) header.parameter_sets.append(unit, unit + bytes);
                if (type != 1 && type != 2 && type != 5) return false;
                header.reference = (unit[0] >> 5 & 3) > 0;
                header.clean_access = type == 5;
                return true;
            });
            break;
        case AV_CODEC_ID_HEVC:
            // Types below 32 carry slices, 19 and 20 those of IDR pictures, 32 to 34 parameter sets (ITU-T
            // H.265, 7.4.2.2).
            header.clean_access = false;
            visit_nal_units(data, size, nal_length_size(codec, 21), [&](const uint8_t* unit, int bytes) {
                int type = unit[0] >> 1 & 63;
                if (type >= 32 && type <= 34 && bytes > 0) header.parameter_sets.append(unit, unit + bytes);
                if (type >= 32) return false;
                header.clean_access = type == 19 || type == 20;
                return true;
            });
            break;
        case AV_CODEC_ID_MPEG4:
            // vop_coding_type: 0 I, 1 P, 2 B, 3 S (ISO/IEC 14496-2, 6.3.5).
            header.reference = type_after_start_code(data, size, 0xB6, 0, 6, 3) != 2;
            break;
        case AV_CODEC_ID_MPEG1VIDEO:
        case AV_CODEC_ID_MPEG2VIDEO:
            // picture_coding_type: 1 I, 2 P, 3 B, behind ten bits of temporal_reference (ITU-T H.262, 6.3.9).
            header.reference = type_after_start_code(data, size, 0x00, 1, 3, 7) != 3;
            break;
        case AV_CODEC_ID_VP8:
            header.shown = size < 1 || (data[0] >> 4 & 1) == 1;  // show_frame (RFC 6386, 9.1)
            break;
        case AV_CODEC_ID_VP9:
        case AV_CODEC_ID_AV1:
            break;
        default: {
            // A codec of keyframes only predicts nothing from anything.
            const AVCodecDescriptor* descriptor = avcodec_descriptor_get(codec.codec_id);
            bool intra_only = descriptor != nullptr && (descriptor->props & AV_CODEC_PROP_INTRA_ONLY) != 0;
            header.reference = !intra_only;
            header.clean_access = intra_only && key;
        }
    }
    return header;
}

std::string container_parameter_sets(const AVCodecParameters& codec) {
    // avcC: five bytes, then the sets of either kind, each kind behind its count, each set behind 16 bits of
    // length.
    std::string sets;
    if (!has_avc_record(codec)) return sets;
    const uint8_t* at = codec.extradata + 5;
    const uint8_t* end = codec.extradata + codec.extradata_size;
    for (int mask : {31, 255}) {
        if (at >= end) break;
        for (int count = *at++ & mask; count > 0 && end - at > 2; --count) {
            auto size = std::min<std::ptrdiff_t>(at[0] << 8 | at[1], end - at - 2);
            sets.append(at + 2, at + 2 + size);
            at += 2 + size;
        }
    }
    return sets;
}

bool has_avc_record(const AVCodecParameters& codec) {
    return codec.codec_id == AV_CODEC_ID_H264 && codec.extradata_size > 6 && codec.extradata[0] == 1;
}

bool exports_motion_vectors(AVCodecID codec) {
    switch (codec) {
        case AV_CODEC_ID_H264:
        case AV_CODEC_ID_MPEG4:
        case AV_CODEC_ID_MPEG1VIDEO:
        case AV_CODEC_ID_MPEG2VIDEO:
        case AV_CODEC_ID_H263:
        case AV_CODEC_ID_FLV1:
        case AV_CODEC_ID_MSMPEG4V2:
        case AV_CODEC_ID_MSMPEG4V3:
        case AV_CODEC_ID_WMV1:
        case AV_CODEC_ID_WMV2:
            return true;
        default:
            return false;
    }
}

}  // namespace ov2::media
