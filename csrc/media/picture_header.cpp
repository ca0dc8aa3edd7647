#include "media/picture_header.h"

namespace ov2::media {
namespace {

// The first NAL unit header byte that `wanted` accepts, or -1. Handles both framings: length prefixes (avcC)
// and start codes (Annex B).
template <typename Wanted>
int first_nal_header(const uint8_t* data, int size, int length_size, Wanted wanted) {
    if (length_size > 0) {
        for (int64_t offset = 0; offset + length_size < size;) {
            uint64_t length = 0;
            for (int i = 0; i < length_size; ++i) length = length << 8 | data[offset + i];
            offset += length_size;
            if (wanted(data[offset])) return data[offset];
            offset += static_cast<int64_t>(length);
        }
        return -1;
    }
    for (int i = 0; i + 3 < size; ++i) {
        if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) {
            if (wanted(data[i + 3])) return data[i + 3];
            i += 2;
        }
    }
    return -1;
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
    header.parameter_sets = av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, nullptr) != nullptr;
    header.clean_access = key;
    switch (codec.codec_id) {
        case AV_CODEC_ID_H264: {
            // nal_unit_type 1, 2 and 5 carry slices; nal_ref_idc stands in bits 5-6 (ITU-T H.264, 7.3.1).
            auto is_slice = [&](uint8_t nal) {
                header.parameter_sets |= (nal & 31) == 7 || (nal & 31) == 8;
                return (nal & 31) == 1 || (nal & 31) == 2 || (nal & 31) == 5;
            };
            int nal = first_nal_header(data, size, nal_length_size(codec, 4), is_slice);
            header.reference = nal < 0 || (nal >> 5 & 3) > 0;
            header.clean_access = nal >= 0 && (nal & 31) == 5;
            break;
        }
        case AV_CODEC_ID_HEVC: {
            // IDR_W_RADL and IDR_N_LP are 19 and 20; types below 32 carry slices (ITU-T H.265, 7.4.2.2).
            auto is_slice = [&](uint8_t nal) {
                header.parameter_sets |= (nal >> 1 & 63) >= 32 && (nal >> 1 & 63) <= 34;
                return (nal >> 1 & 63) < 32;
            };
            int nal = first_nal_header(data, size, nal_length_size(codec, 21), is_slice);
            header.clean_access = nal >= 0 && ((nal >> 1 & 63) == 19 || (nal >> 1 & 63) == 20);
            break;
        }
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
