/* What the files of the DiT's trainer share: dit.c runs it, dit_model.c says what is trained,
 * dit_balance.c evens out what it begins with, dit_draw.c fills rows, dit_look.c measures and
 * shows.
 */
#ifndef REEL_TRAIN_DIT_STATE_H
#define REEL_TRAIN_DIT_STATE_H

#include "models/t5/t5.h"
#include "models/wan/dit.h"
#include "text/tokenizer.h"
#include "train/dit.h"
#include "train/encoder.h"
#include "train/material.h"
#include "train/row.h"
#include "train/save.h"
#include "zoo/folder.h"

enum { REEL_DIT_PATH_BYTES = 4096, REEL_DIT_HELD_OUT = 4096 /* clips at most */ };

/* The rows of a program and what it leaves. */
typedef struct reel_dit_rows {
    struct reel_dit_trainer *trainer;
    reel_row row;
    reel_program *program;
    reel_var prediction;
    reel_var said; /* by the text encoder [1,N X,d] f32, when it is looked at */
} reel_dit_rows;

typedef struct reel_dit_trainer {
    reel_env *env;
    const reel_kernel_table *table;
    const reel_run_options *options;
    const reel_recipe *recipe;
    reel_wan_dit_config dit;
    reel_t5_config t5;
    int64_t z;           /* channels of latents */
    int64_t text_length; /* tokens of a text */
    reel_usual usual;
    const char *vae; /* folder whose vae/ makes the latents */
    char tokenizer_path[REEL_DIT_PATH_BYTES];
    reel_folder *folder; /* training goes on from it; NULL: from nothing */
    reel_objective objective;
    int32_t *buckets; /* [X,X] of the text encoder */
    reel_tokenizer *tokenizer;
    reel_clip_encoder *encoder;
    reel_material material;
    reel_latents *latents, *held_out;
    reel_learner *learner;
    reel_dit_rows train, look;
    int64_t step;       /* under way, for filling */
    double waited_s;    /* in it, for clips */
    double told_s;      /* when encoding was last told of */
    int64_t held_clips; /* that are measured */
} reel_dit_trainer;

/* ---- dit_model.c ---- */

/* Opens tokenizer, encoder and configurations, from the recipe or the folder to go on from. */
REEL_MUST_USE reel_status reel_dit_open_models(reel_dit_trainer *trainer);
/* Latents that the model takes, and clips whose latents fall into whole patches. */
REEL_MUST_USE reel_status reel_dit_check_sizes(const reel_dit_trainer *trainer);
/* The learner and its two programs; rows must be there. */
REEL_MUST_USE reel_status reel_dit_open_learner(reel_dit_trainer *trainer);
/* Records what the text encoder makes of a row's ids, zero where there is no token, as a value that
 * is kept: [1,N X,d] f32. */
reel_var reel_dit_record_said(const reel_dit_rows *rows, reel_nn *nn);
/* Writes model/, and the low-rank paths by themselves when they are what is trained. */
reel_status reel_dit_save(void *context, bool at_end);

/* ---- dit_balance.c ---- */

/* Balances the learner's text encoder (train/balance.h), if the recipe asks for it. */
reel_status reel_dit_balance(void *context);

/* ---- dit_draw.c ---- */

/* Fills the training row for micro-step k of the step under way; context is the reel_dit_rows. */
reel_status reel_dit_fill_row(void *context, int64_t k);
/* Puts a text's ids at clip i of a row. */
REEL_MUST_USE reel_status reel_dit_set_caption(reel_dit_trainer *trainer, reel_row *row, int64_t i,
                                               const char *text);

/* ---- dit_look.c ---- */

reel_status reel_dit_validate(void *context, reel_json_out *out);
reel_status reel_dit_show(void *context);

#endif
