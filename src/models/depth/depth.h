/* The depth head: how near everything in a clip is, read from the clip's latents.
 *
 * A stem and a few residual blocks of convolutions on the latent grid, then two steps up: each
 * position becomes factor_t frames of 4 x 4 cells of `mid` channels, and each cell a square of
 * pixels. What comes out is nearness: 1 / (z tan a), z the distance along the view
 * axis in metres and a half the angle of view across the frame's shorter side. Half that side in
 * pixels times the nearness is how far a point moves in the picture when the eye moves one metre
 * to the side (world/stage.h), which is what both a depth video and a second view need, whatever
 * lens the scene was seen through. The sky is near 0.
 *
 * A head is a folder: config.json and model.safetensors. It belongs to one encoder, whose key its
 * configuration keeps.
 *
 * Letters: z latent channels; f h w latent grid, F H W pixels.
 */
#ifndef REEL_MODELS_DEPTH_DEPTH_H
#define REEL_MODELS_DEPTH_DEPTH_H

#include "base/json.h"
#include "base/json_out.h"
#include "nn/module.h"

enum { REEL_DEPTH_STEP = 4 /* cells along an edge of a latent position */, REEL_DEPTH_KEY = 17 };

typedef struct reel_depth_config {
    int64_t z_dim, factor_t, factor_s; /* of the autoencoder; factor_s a multiple of 4 */
    int64_t channels, blocks;          /* on the latent grid */
    int64_t mid;                       /* channels of a cell */
    char latents[REEL_DEPTH_KEY];      /* key of the encoder it was trained behind */
} reel_depth_config;

/* 64 latent channels of 4 x 16 x 16, 144 channels, 2 blocks, 32 channels. */
reel_depth_config reel_depth_config_default(void);

/* Fails with REEL_E_ARG naming the field that is out of range. */
REEL_MUST_USE reel_status reel_depth_config_check(reel_env *env, const reel_depth_config *config);

/* The fields of config.json, written and read strictly. REEL_E_FORMAT. */
void reel_depth_config_write(reel_json_out *out, const reel_depth_config *config);
REEL_MUST_USE reel_status reel_depth_config_read(const reel_json *root, reel_depth_config *config);

/* x [B,f,h,w,z] f32, normalised latents -> nearness f32 [B,f factor_t,h factor_s,w factor_s,1]. Of
 * the first latent frame of a clip, which is one frame of video, only the last of the factor_t
 * frames counts. Fails the tape on misfit. */
reel_var reel_depth(reel_nn *nn, const reel_depth_config *config, reel_var x);

/* ---- the folder ---- */

/* Writes config.json and model.safetensors; the folder is made. */
REEL_MUST_USE reel_status reel_depth_save(reel_env *env, const char *folder,
                                          const reel_depth_config *config, reel_params *params);

typedef struct reel_depth_model reel_depth_model;

/* Opens a folder. table is borrowed and must outlive it. REEL_E_IO, REEL_E_FORMAT. The caller
 * closes it. */
REEL_MUST_USE reel_status reel_depth_open(reel_env *env, const reel_kernel_table *table,
                                          const char *folder, reel_depth_model **model);
void reel_depth_close(reel_depth_model **model);
const reel_depth_config *reel_depth_config_of(const reel_depth_model *model);

/* Takes frames [first, first + n) as nearness [n,H,W], each in [0,1000]; anything but REEL_OK ends
 * the run with that status. */
typedef reel_status reel_depth_write(void *context, int64_t first, int64_t n,
                                     const float *nearness);

/* Normalised latents [z,f,h,w] -> 1 + (f - 1) factor_t frames, handed out in order. Long clips go
 * through a few latent frames at a time, with as many around them as the head looks at, so that
 * memory does not grow with the clip and the numbers are those of the whole. */
REEL_MUST_USE reel_status reel_depth_run(reel_depth_model *model, const float *latents, int64_t f,
                                         int64_t h, int64_t w, reel_depth_write *write,
                                         void *context);

#endif
