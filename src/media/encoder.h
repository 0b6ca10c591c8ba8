/* One encoder of FFmpeg's, set up for a format of ours: frames in, packets out. */
#ifndef REEL_MEDIA_ENCODER_H
#define REEL_MEDIA_ENCODER_H

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <stdbool.h>

#include "media/palette.h"
#include "media/video_writer.h"

typedef struct reel_encoder {
    reel_env *env;
    const char *path; /* for messages; borrowed */
    reel_video_format format;
    int width, height;
    AVCodecContext *codec;
    AVBSFContext *filter; /* removes what names the encoder; NULL: nothing does */
    AVFrame *frame;
    AVPacket *packet;
    reel_palette *palette; /* of a GIF; NULL otherwise */
    double palette_error;  /* when it was made */
    int n_palettes;
    int64_t n_frames;
} reel_encoder;

/* Takes one packet, borrowed, its times in the encoder's time base. */
typedef reel_status reel_encoder_sink(void *context, AVPacket *packet);

/* Opens it for a muxer that wants the headers in front (global_header) or not. On failure the
 * caller still calls reel_encoder_deinit. */
REEL_MUST_USE reel_status reel_encoder_init(reel_env *env, const char *path,
                                            const reel_video_options *options,
                                            reel_video_format format, bool global_header,
                                            reel_encoder *encoder);
/* Safe on a zeroed struct. */
void reel_encoder_deinit(reel_encoder *encoder);

/* Says in parameters what the packets are, for a stream to be made. */
REEL_MUST_USE reel_status reel_encoder_parameters(const reel_encoder *encoder,
                                                  AVCodecParameters *parameters);

/* One frame [H,W,3], or NULL for the end; what comes out goes to sink. */
REEL_MUST_USE reel_status reel_encoder_put(reel_encoder *encoder, const uint8_t *pixels,
                                           reel_encoder_sink *sink, void *context);

#endif
