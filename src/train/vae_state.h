/* What the files of the autoencoder's trainer share: vae.c runs it, vae_begin.c says what it begins
 * with, vae_batch.c records and fills batches, vae_look.c measures.
 */
#ifndef REEL_TRAIN_VAE_STATE_H
#define REEL_TRAIN_VAE_STATE_H

#include "data/pool.h"
#include "train/material.h"
#include "train/save.h"
#include "train/vae.h"

enum { REEL_VAE_CHANNELS = 4 /* which axis of pixels and latents */ };

/* A reel_vae_batch of crops of one size and the programs on it. */
typedef struct reel_vae_batch {
    struct reel_vae_trainer *trainer;
    int64_t B, F, H, W; /* of pixels */
    float *x;           /* [B,F,H,W,3] */
    float *eps;         /* [B,f,h,w,z]: normal, times sigma; or mistakes */
    float *patches;     /* [B,f,h,w,P]: what the linear code reads; NULL without one */
    float *still;       /* [B,F-1,1,HW3]: weights of steps; NULL without that term */
    reel_program *program;
    reel_var mean, y; /* of a program that looks */
} reel_vae_batch;

typedef struct reel_vae_trainer {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_recipe *recipe;
    bool decoder; /* the second stage */
    bool graft;   /* the linear path is new: of this run's principal components */
    reel_wan_vae_config config;
    int64_t factor_t, factor_s;
    reel_learner *learner;
    reel_material material;
    reel_mistakes mistakes; /* of the model that is to be forgiven, if there is one */
    reel_pool *pool, *held_out;
    reel_bucket full;              /* the first bucket: what is validated on */
    float *pca_w, *pca_b;          /* into the linear code */
    float *pca_inverse, *pca_mean; /* and back */
    float pca_weight;              /* of this step */
    reel_vae_batch crops, clips, look;
} reel_vae_trainer;

/* Random number i below n, for one purpose. */
uint64_t reel_vae_draw(const reel_vae_trainer *r, const char *what, int64_t i, uint64_t n);
/* Elements of a patch that becomes one latent, and of a batch's latents. */
int64_t reel_vae_patch(const reel_vae_trainer *r);
int64_t reel_vae_latents(const reel_vae_trainer *r, const reel_vae_batch *a);
/* Whether the mean is pulled towards the linear code. */
bool reel_vae_is_pulled(const reel_vae_trainer *r);

/* vae_begin.c: weights, the learner and the linear code. */
REEL_MUST_USE reel_status reel_vae_open_learner(reel_vae_trainer *r);

/* vae_batch.c: what there is to learn. */
reel_var reel_vae_record_look(void *context, reel_nn *nn);
REEL_MUST_USE reel_status reel_vae_open_batches(reel_vae_trainer *r);
void reel_vae_close_batches(reel_vae_trainer *r);
/* Chooses the reel_vae_batch of a step and fills it. REEL_E_ARG when no clip is large enough. */
REEL_MUST_USE reel_status reel_vae_fill(reel_vae_trainer *r, int64_t step, reel_vae_batch **filled);

/* vae_look.c: a job's validate. */
REEL_MUST_USE reel_status reel_vae_validate(void *context, reel_json_out *out);

#endif
