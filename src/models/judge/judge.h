/* The judge: a small video classifier that answers questions about a clip ("kind", "color", ...).
 *
 * A stem folds patches of 4 x 4 x 4 pixels into channels; stages of convolutions, each but the
 * first begun by one of stride 2, make the grid small; what is left is read as one vector, with it
 * what `looks` weighted means over an earlier grid find, made into `features` numbers, and each
 * question has one linear layer on those. Questions that are sought ("what is red?") each have a
 * look of their own over two grids, and one small network that answers all of them from what was
 * found: what a kind looks like is learned once, not for each color. Scores of generated clips and
 * distances between sets of clips are taken from it. Which questions there are is the caller's; the
 * model knows their names and how many answers each has.
 *
 * A judge is a folder: config.json and model.safetensors.
 */
#ifndef REEL_MODELS_JUDGE_JUDGE_H
#define REEL_MODELS_JUDGE_JUDGE_H

#include "base/json.h"
#include "base/json_out.h"
#include "nn/module.h"

enum { REEL_JUDGE_QUESTIONS = 32, REEL_JUDGE_STAGES = 4, REEL_JUDGE_NAME_BYTES = 32 };

typedef struct reel_judge_question {
    char name[REEL_JUDGE_NAME_BYTES];
    int64_t n_answers; /* 2..1024 */
    bool sought;       /* all that are have equally many answers */
} reel_judge_question;

typedef struct reel_judge_config {
    int64_t frames;        /* 1 more than a multiple of 16: the first frame is not looked at */
    int64_t height, width; /* pixels, multiples of 32 */
    int64_t channels[REEL_JUDGE_STAGES]; /* of the stages */
    int64_t features;
    int64_t looks; /* 0: only the flattened grid is read */
    int64_t n_questions;
    reel_judge_question question[REEL_JUDGE_QUESTIONS];
} reel_judge_config;

/* 33 frames of 128 x 128, channels 32, 96, 192, 256, 256 features, 16 looks, no questions. */
reel_judge_config reel_judge_config_default(void);

/* Fails with REEL_E_ARG naming the field that is out of range. */
REEL_MUST_USE reel_status reel_judge_config_check(reel_env *env, const reel_judge_config *config);

/* The fields of config.json, written and read strictly. REEL_E_FORMAT. */
void reel_judge_config_write(reel_json_out *out, const reel_judge_config *config);
REEL_MUST_USE reel_status reel_judge_config_read(const reel_json *root, reel_judge_config *config);

/* What a recording gives. */
typedef struct reel_judge_output {
    reel_var features;                     /* f32 [B,features]: what distances are taken on */
    reel_var answer[REEL_JUDGE_QUESTIONS]; /* f32 [B,n_answers]: log odds */
} reel_judge_output;

/* x [B,F,H,W,3] f32 in [-1,1], of the config's sizes. Fails the tape on misfit. */
reel_judge_output reel_judge(reel_nn *nn, const reel_judge_config *config, reel_var x);

/* The sum over the questions of the cross entropies: truth[q] is an input i32 [B], -1 where the
 * question does not apply. smoothing in [0,1) as in ops/loss.h. One f32 element. */
reel_var reel_judge_loss(reel_nn *nn, const reel_judge_config *config,
                         const reel_judge_output *output, const reel_var *truth, float smoothing);

/* ---- the folder ---- */

/* Writes config.json and model.safetensors; the folder is made. */
REEL_MUST_USE reel_status reel_judge_save(reel_env *env, const char *folder,
                                          const reel_judge_config *config, reel_params *params);

typedef struct reel_judge_model reel_judge_model;

/* Opens a folder and plans the model for one clip at a time. table is borrowed and must outlive
 * it. REEL_E_IO, REEL_E_FORMAT. The caller closes it. */
REEL_MUST_USE reel_status reel_judge_open(reel_env *env, const reel_kernel_table *table,
                                          const char *folder, reel_judge_model **model);
void reel_judge_close(reel_judge_model **model);
const reel_judge_config *reel_judge_config_of(const reel_judge_model *model);

/* Looks at a clip u8 [F,H,W,3] of the config's size. answer [n_questions]: the likeliest answer of
 * each question; features [features]; both may be NULL. */
REEL_MUST_USE reel_status reel_judge_look(reel_judge_model *model, const uint8_t *rgb,
                                          int32_t *answer, float *features);

#endif
