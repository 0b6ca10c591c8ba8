/* Rows: clips of different sizes, noised, side by side in one row of tokens (NaViT, Dehghani et al.
 * 2023), with everything a diffusion transformer's training step reads.
 *
 * The memory of a row is what a program's inputs are bound to, and its sizes are fixed, so one plan
 * serves whatever clips a row holds. Clips come one after another; what is left over at the end is
 * a segment of its own without text, weight or gradient.
 *
 *     flow:     x = (1 - t) x0 + t eps,  target eps - x0,  level 1000 t
 *     sample:   the same x,  target x0, errors weighed by 1 / t^2 as those of (x - x0) / t
 *     epsilon:  x = sqrt(a) x0 + sqrt(1 - a) eps,  target eps
 *     v:        x as of epsilon,  target sqrt(a) eps - sqrt(1 - a) x0
 *     learned:  as epsilon, at whole timesteps 0..999; the model's second half of channels, in
 *               [-1,1], says where between beta and the posterior's the log variance lies
 *
 * with a the cumulative alpha of a cosine schedule at timestep t (Nichol & Dhariwal 2021). What is
 * known, whole frames or a box of every frame, weighs nothing; it has a level of its own, which is
 * 0 where nothing else is said: clean.
 *
 * Letters: T tokens of the row, N clips at most, X text tokens of each, z channels of latents, P
 * positions of a patch.
 */
#ifndef REEL_TRAIN_ROW_H
#define REEL_TRAIN_ROW_H

#include "data/latents.h"
#include "nn/module.h"

typedef enum reel_objective {
    REEL_OBJECTIVE_FLOW,
    REEL_OBJECTIVE_SAMPLE, /* x-prediction with the loss of the velocity: JiT, Li & He 2025 */
    REEL_OBJECTIVE_EPSILON,
    REEL_OBJECTIVE_V,
    REEL_OBJECTIVE_LEARNED, /* L_hybrid of Improved DDPM */
    REEL_OBJECTIVE_COUNT,
} reel_objective;

/* The objective with that name ("flow", "sample", "epsilon", "v", "learned"); REEL_OBJECTIVE_COUNT
 * when there is none. */
reel_objective reel_objective_parse(const char *name);

enum {
    REEL_ROW_FRAMES = 64,      /* latent frames of a clip at most: the bits of a mask */
    REEL_ROW_TIMESTEPS = 1000, /* of the diffusion objectives */
};

/* A box of the tokens of every frame that is known, or all but it. */
typedef struct reel_row_box {
    int64_t y, x, height, width; /* in tokens; height 0: there is none */
    bool outside;                /* known is what is not in it */
} reel_row_box;

/* One clip in a row. */
typedef struct reel_row_clip {
    reel_latent_clip latent; /* f may be less than the stored clip has: its first frames */
    int64_t first;           /* token */
    double t;                /* noise level in [0,1] */
    double known_t;          /* that of what is known */
    int64_t gap;             /* stored frames left out between the first two */
    uint64_t known;          /* bit i: frame i is known */
    reel_row_box region;     /* known, too */
    uint64_t noise;          /* index of its first normal number; a multiple of 4 */
    bool placed;             /* somebody knows where its objects are */
} reel_row_clip;

typedef struct reel_row {
    reel_env *env;
    int64_t T, N, X, z, patch; /* patch: of height and width; in time 1 */
    int64_t C;                 /* channels of tokens: z, and the planes of a place */
    reel_objective objective;
    int64_t n;           /* clips */
    reel_row_clip *clip; /* [N] */
    float *tokens;       /* [T,C P]: channels slowest */
    float *target;       /* [T,P z]: channels fastest */
    float *weight;       /* [T]: 0 where nothing is asked, else 1; of sample 1 / t^2 */
    uint8_t *objects; /* [T]: labels (data/source.h); not 0: weighs object_weight times as much */
    int32_t *layout;  /* [T,2]: both labels; -1: nobody knows */
    float object_weight;
    float mean_weight;     /* of those that are asked; 0 when there are none */
    float *middle, *half;  /* [T]: of learned, log variance = middle + half v */
    float *shift, *least;  /* [T]: the moment is shift (eps - prediction)^2 + least */
    float *level;          /* [2N]: clip i's is 2i, of its known frames 2i + 1 */
    double *alphas;        /* [REEL_ROW_TIMESTEPS]: of learned, cumulative */
    int32_t *map;          /* [T]: which level */
    int32_t *positions;    /* [T,3] */
    int32_t *offsets;      /* [N+2] */
    int32_t *text_offsets; /* [N+2] */
    int32_t *ids;          /* [N,X] */
    uint8_t *key_mask;     /* [N,X]: 1 for tokens */
    float *text_mask;      /* [N,X]: the same */
} reel_row;

/* Sizes of a row. */
typedef struct reel_row_options {
    int64_t T, N, X; /* tokens, clips at most, tokens of a text */
    int64_t z;       /* channels of latents */
    int64_t patch;   /* divides the latent grids */
    bool planes;     /* tokens say where they stand (models/wan/dit.h) */
    reel_objective objective;
    float object_weight; /* > 0: how much more the tokens of objects weigh; 0: as much as others */
} reel_row_options;

/* The caller deinits, whatever happened. */
REEL_MUST_USE reel_status reel_row_init(reel_env *env, const reel_row_options *options,
                                        reel_row *row);
void reel_row_deinit(reel_row *row);

/* Tokens of a clip. */
int64_t reel_row_tokens(const reel_row *row, const reel_latent_clip *clip);

/* Empties the row. */
void reel_row_clear(reel_row *row);
/* Puts a clip behind the others; false when there is no room. Nothing is computed. */
bool reel_row_add(reel_row *row, const reel_latent_clip *latent, double t, uint64_t known,
                  uint64_t noise);
/* What else is known of clip i, in every frame. */
void reel_row_set_region(reel_row *row, int64_t i, const reel_row_box *region);
/* The noise level, in [0,1], of what is known of clip i. */
void reel_row_set_known_noise(reel_row *row, int64_t i, double t);
/* Leaves stored frames [1, 1 + gap) of clip i out, which has gap more than latent.f says. */
void reel_row_set_gap(reel_row *row, int64_t i, int64_t gap);
/* The text of clip i: n ids, cut to X. */
void reel_row_set_text(reel_row *row, int64_t i, const int32_t *id, int64_t n);
/* The tokens of clip i, whose objects somebody knows: to be told where they are, [f,h,w], as
 * reel_row.objects. */
uint8_t *reel_row_objects(reel_row *row, int64_t i);
/* Computes everything from the clips, over the threads of env. Noise: normal numbers of (seed,
 * stream "row noise", the clip's own indices). */
void reel_row_fill(reel_row *row, uint64_t seed);

/* Records the loss of a prediction y [1,T,P z] f32 (learned: [1,T,P 2z], epsilon and variance of
 * each position one after the other): the mean over what is asked of weight (y - target)^2, and for
 * learned vlb * REEL_ROW_TIMESTEPS times the variational bound of the clips' timesteps. */
reel_var reel_row_loss(reel_tape *tape, const reel_row *row, reel_var y, float vlb);

/* What the renderer knows and pictures only imply, asked of blocks half-way: a transformer that
 * finds out early what stands where learns faster (REPA, Yu et al. 2024, whose teacher is a vision
 * model). Records a layer of its own, "layout", on h [1,T,C], and the cross entropy of both labels
 * of every token, over the clips of which somebody knows them. */
reel_var reel_row_layout_loss(reel_nn *nn, const reel_row *row, reel_var h);

/* The mean over the tokens of clip i that are asked of weight (prediction - target)^2; prediction
 * as y above. */
double reel_row_error(const reel_row *row, const float *prediction, int64_t i);

#endif
