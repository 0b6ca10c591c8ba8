/* The canvas: what a generation is asked to fill in, and what it is given.
 *
 * A canvas is a grid of latent positions, each with the noise level it starts from: 1 is unknown
 * and starts as noise, 0 is known and stays as it is, a level between is edited: known, noised up
 * to that level and denoised from there (SDEdit, Meng et al. 2022). Text to video is a canvas of
 * ones; an image to be animated is one clean latent frame before noise; extension, connection,
 * loops, inpainting and editing differ in nothing but their levels. The denoise driver
 * (pipeline/denoise.h) knows no task, only canvases.
 *
 * Letters: C channels, F latent frames, h w latent rows and columns.
 */
#ifndef REEL_PIPELINE_CANVAS_H
#define REEL_PIPELINE_CANVAS_H

#include "base/env.h"

typedef struct reel_canvas {
    reel_env *env;
    int64_t C, F, h, w;
    float *known; /* [C,F,h,w] clean latents, read where level < 1; NULL: nothing is known */
    float *level; /* [F,h,w] in [0,1]: the noise level each position starts from; NULL: all 1 */
} reel_canvas;

/* A canvas of noise. Each size is at least 1, their product below 2^40 (REEL_E_ARG). */
REEL_MUST_USE reel_status reel_canvas_init(reel_env *env, int64_t C, int64_t F, int64_t h,
                                           int64_t w, reel_canvas *canvas);
/* Safe on a zeroed struct. */
void reel_canvas_deinit(reel_canvas *canvas);

/* Elements of the latents: C F h w; and of the levels: F h w. */
int64_t reel_canvas_elements(const reel_canvas *canvas);
int64_t reel_canvas_positions(const reel_canvas *canvas);

/* Puts n latent frames [C,n,h,w] at frame `at`, to start from a level in [0,1] (0: kept as they
 * are). Later calls win over earlier ones. REEL_E_ARG when they do not lie inside. */
REEL_MUST_USE reel_status reel_canvas_put(reel_canvas *canvas, int64_t at, int64_t n,
                                          const float *latents, double level);

/* Sets the level of n frames from frame `at` by position: mask [n,h,w], each in [0,1], 1: unknown.
 * Where a level is below 1 the latents must have been put before (REEL_E_ARG: nothing is known). */
REEL_MUST_USE reel_status reel_canvas_mask(reel_canvas *canvas, int64_t at, int64_t n,
                                           const float *mask);

/* Makes the positions of each patch (frames, rows, columns) start from the highest level among
 * them: a model has one noise level for each patch. */
void reel_canvas_align(reel_canvas *canvas, const int64_t patch[3]);

/* Whether every position starts from noise, so that a model needs only one level. */
bool reel_canvas_is_noise(const reel_canvas *canvas);

#endif
