/* reel eval: what a model is worth, measured on the world.
 *
 *     vae      how near clips come back from the autoencoder: PSNR, SSIM, seams between latents
 *     judge    what a judge (models/judge) sees in generated clips against their prompts
 *     frechet  distance of the judge's features between generated and rendered clips
 *     swap     whether the true caption explains a clip better than one with one attribute changed
 *     physics  whether what falls speeds up evenly, and what passes behind comes out the same
 *     stereo   how far the depth head's disparities are from those of the world's second camera
 *     tasks    what comes of animating, extending, connecting, looping and editing held-out clips,
 *              and how long videos drift; measured only where it is named
 *
 * Judge, frechet and physics are measured on real renders of the same prompts as well, and both
 * stand side by side.
 */
#ifndef REEL_EVAL_EVAL_H
#define REEL_EVAL_EVAL_H

#include "eval/scores.h"
#include "tape/op.h"

typedef enum reel_eval_part {
    REEL_EVAL_VAE = 1,
    REEL_EVAL_JUDGE = 2,
    REEL_EVAL_FRECHET = 4,
    REEL_EVAL_SWAP = 8,
    REEL_EVAL_PHYSICS = 16,
    REEL_EVAL_STEREO = 32,
    REEL_EVAL_TASKS = 64,
    REEL_EVAL_ALL = 63, /* but tasks, which make eight clips of each prompt */
} reel_eval_part;

/* Parts by their names, commas between; NULL or "" is all. REEL_E_ARG naming the word. */
REEL_MUST_USE reel_status reel_eval_parts_parse(reel_env *env, const char *text, unsigned *parts);

/* Told where a measurement stands; true: stop. */
typedef bool reel_eval_tell(void *context, const char *part, int64_t done, int64_t total);

typedef struct reel_eval_options {
    const char *model; /* folder */
    const char *judge; /* folder; NULL: model/judge where there is one */
    const reel_kernel_table *table;
    unsigned parts;  /* of reel_eval_part */
    int64_t prompts; /* judge and tasks; the other parts take an eighth of them, at least 8 */
    int64_t steps;
    double cfg_scale; /* negative: the model's own */
    uint64_t seed;
    int64_t frames, height, width; /* without a judge, which has its own size */
    double fps;
    int64_t text_length; /* as of eval/model.h */
    /* Of tasks. */
    const char *isa;     /* the table's name, for recipes */
    const char *scratch; /* where folders may be made; NULL: /tmp */
    const char *clips;   /* folder to keep clips and answers in (eval_keep.c); NULL: none is kept */
    int64_t drift_clips; /* long videos that are made; 0: none */
    double drift_s;      /* seconds of each, at least twice REEL_DRIFT_SECONDS */
    reel_eval_tell *tell; /* may be NULL */
    void *context;
} reel_eval_options;

/* 500 prompts, 20 steps, the model's own guidance, seed 1, 33 frames of 128 x 128 at 8 fps, all
 * parts; 2 long videos of 20 seconds. */
reel_eval_options reel_eval_options_default(void);

/* Measures and adds rows to the report. Parts that the folder cannot give are left out when all
 * were asked for, else REEL_E_ARG says what is missing. REEL_E_CANCELLED when told to stop. */
REEL_MUST_USE reel_status reel_eval_run(reel_env *env, const reel_eval_options *options,
                                        reel_scores *report);

#endif
