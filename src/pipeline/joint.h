/* Joints: where made frames meet frames of a clip, without a step between them.
 *
 * What is made goes on from what the autoencoder makes of a clip, not from the clip: at the joint
 * the autoencoder's whole error would show at once. It is known there, since the kept frames are
 * decoded too. So it is added to the first made frame and taken back over the next ones. Decoded
 * frames also flicker from one latent frame to the next, and a joint lies between two: three
 * quarters of what changes there count as error as well. Where a made frame no longer shows what
 * was there at the joint, e is dropped for good, so that detail of the ground does not stick to
 * what moves over it:
 *
 *     e = original - (decoded + 3 x_1) / 4
 *     y_k = x_k + w_k m_k e        w_k = 1 - k / (n + 1), k = 1..n
 *     m_k = min(m_{k-1}, 1 / (1 + (|x_k - decoded| / tau)^2)), |.| a mean over 5 x 5 pixels
 *
 * Frames before a clip are treated the same way, counted backwards from it; up to n of them are
 * held back until the clip's first frame has been decoded.
 */
#ifndef REEL_PIPELINE_JOINT_H
#define REEL_PIPELINE_JOINT_H

#include "base/env.h"

enum { REEL_JOINT_FRAMES = 16 }; /* n, but for fewer frames between two clips */

/* Takes a frame [H,W,3], borrowed. */
typedef reel_status reel_joint_sink(void *context, const uint8_t *pixels);

typedef struct reel_joint_options {
    int64_t width, height;
    int64_t frames; /* that are made: between two clips no more than they count in n */
    bool ends;      /* a clip follows: frames are held back for it */
    reel_joint_sink *sink;
    void *context;
} reel_joint_options;

typedef struct reel_joint reel_joint;

/* The caller closes *joint. */
REEL_MUST_USE reel_status reel_joint_open(reel_env *env, const reel_joint_options *options,
                                          reel_joint **joint);
/* NULL-safe. */
void reel_joint_close(reel_joint **joint);

/* The frame before the first made one, as it is and as it was decoded, [H,W,3] each. */
void reel_joint_begin(reel_joint *joint, const uint8_t *original, const uint8_t *decoded);
/* The next made frame, [H,W,3]. */
REEL_MUST_USE reel_status reel_joint_put(reel_joint *joint, const uint8_t *pixels);
/* The frame behind the last made one, likewise; NULL, NULL: it is not known. What was held back
 * goes to the sink. */
REEL_MUST_USE reel_status reel_joint_end(reel_joint *joint, const uint8_t *original,
                                         const uint8_t *decoded);

#endif
