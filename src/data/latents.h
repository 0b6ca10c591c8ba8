/* Latents on disk: what a diffusion model is trained on, made once.
 *
 * Clips of a source are made, encoded and kept, a file for each group of the source; the words are
 * not kept, since the source has them. Files are mapped, so memory holds what the system has room
 * for, and each is written whole or not at all: a run that was stopped finds them again. How many
 * clips there are is for the caller to derive from its step; what is missing is encoded by all
 * lanes between steps. (On a small machine a thread of its own would only take the lanes' time, and
 * the step that needs a clip would still have to wait for it.) Decoding, where clips are files,
 * goes on beside the steps: the source is told of what comes next.
 */
#ifndef REEL_DATA_LATENTS_H
#define REEL_DATA_LATENTS_H

#include "data/source.h"
#include "tensor/dtype.h"

/* What makes latents of a clip. */
typedef struct reel_latents_encoder {
    void *context;
    /* rgb u8 [F,H,W,3] -> latent bf16 [f,h,w,z], normalised */
    reel_status (*encode)(void *context, const uint8_t *rgb, const reel_bucket *size,
                          reel_bf16 *latent);
    int64_t z, factor_t, factor_s;
} reel_latents_encoder;

typedef struct reel_latents reel_latents;

/* A cache in a folder, which is made if need be. key names what latents depend on (the encoder's
 * weights): files with another key are refused (REEL_E_ARG, saying which folder to remove).
 * Everything is borrowed but key and source. */
REEL_MUST_USE reel_status reel_latents_open(reel_env *env, const char *folder, const char *key,
                                            const reel_source *source, const reel_bucket *bucket,
                                            int64_t n_buckets, const reel_latents_encoder *encoder,
                                            reel_latents **latents);
/* Unmaps; files stay. NULL-safe. */
void reel_latents_close(reel_latents **latents);

/* Makes sure of the groups that hold the first n clips, or of all there are: those that are on disk
 * are opened, the others made. told (may be NULL) is called before each that is made, with its
 * first clip and how many it has, and may stop it (REEL_E_CANCELLED). */
REEL_MUST_USE reel_status reel_latents_advance(reel_latents *latents, int64_t n,
                                               bool (*told)(void *context, int64_t first,
                                                            int64_t n_clips),
                                               void *context);

typedef struct reel_latent_clip {
    int64_t index;           /* in the source */
    const reel_bucket *size; /* in pixels */
    int64_t f, h, w;         /* of latents */
    const reel_bf16 *data;   /* [f,h,w,z] */
} reel_latent_clip;

/* Clips of the groups so far, and the i-th of them. */
int64_t reel_latents_count(const reel_latents *latents);
reel_latent_clip reel_latents_at(const reel_latents *latents, int64_t i);

#endif
