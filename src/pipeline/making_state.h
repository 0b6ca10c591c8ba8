/* What the files of a running generation share. Included by nobody else. */
#ifndef REEL_PIPELINE_MAKING_STATE_H
#define REEL_PIPELINE_MAKING_STATE_H

#include "pipeline/condition.h"
#include "pipeline/generate_state.h"
#include "pipeline/parts.h"
#include "pipeline/windows.h"

typedef struct reel_making {
    reel_generate *g;
    reel_env *env;
    reel_event_fn *on_event;
    reel_cancel_fn *cancel;
    void *context;
    double start_s, phase_s;
    int64_t phase_from; /* how far the phase was when it began */
    bool is_denoising;  /* the phase has begun: it lasts for all windows */
    bool is_stopping;   /* nobody is asked any more whether to stop */

    const char *key, *provenance; /* what a resumed run is compared by; what goes into the file */
    int64_t seed;
    reel_resume_file *resume; /* of an interrupted run, or NULL */
    bool restores;            /* the resumed run's latents are those of the first window we make */
    reel_text_rows rows;
    reel_preview_map preview;
    bool has_preview;

    int64_t n_windows, n_done; /* 1: all at once; windows that are finished */
    reel_parts parts;
    reel_window window;  /* the one that is being made */
    const reel_job *job; /* what it is made of: the task, or a step of one that goes backwards */
    reel_job step;
    char before[REEL_PARTS_PATH]; /* the part a step goes on from */
    reel_canvas canvas;
    reel_condition condition; /* of a model that makes video from pictures */
    reel_denoise *denoise;
} reel_making;

/* ---- making.c ---- */

void reel_making_tell(reel_making *r, reel_event_kind kind, const char *text, int64_t done,
                      int64_t total);
void reel_making_begin_phase(reel_making *r, const char *name, int64_t from, int64_t total);
/* A reel_tick and the like: REEL_E_CANCELLED when the caller wants to stop. context is the run. */
reel_status reel_making_tick(void *context);
/* Opens the VAE to decode or to encode, without the weights of the other half, and says how the
 * window's latents are decoded with it. The caller closes *c. */
REEL_MUST_USE reel_status reel_making_open_vae(reel_making *r, bool decode, reel_component **c,
                                               reel_decode_options *options);

/* ---- making_window.c ---- */

/* Chooses the preview's map, from an interrupted run or by a look at the VAE. */
REEL_MUST_USE reel_status reel_making_fit_preview(reel_making *r);
/* Makes the latents of window i: afterwards they are r->denoise's. */
REEL_MUST_USE reel_status reel_making_window(reel_making *r, int64_t i);
/* Frees what a window needed. */
void reel_making_end_window(reel_making *r);
/* Frames window i adds to those that are decoded. */
int64_t reel_making_window_frames(const reel_making *r, int64_t i);

/* ---- making_file.c ---- */

/* Opens a writer to path, for the settings' frames; with the run's recipe or without. */
REEL_MUST_USE reel_status reel_making_open_writer(reel_making *r, const char *path,
                                                  bool with_recipe, reel_video_writer **writer);
/* Whether the output is there, as this run would leave it: with its recipe, size and length. */
bool reel_making_is_finished(reel_making *r);
/* Decodes the only window into the output. */
REEL_MUST_USE reel_status reel_making_decode(reel_making *r);
/* Decodes window i into its part. */
REEL_MUST_USE reel_status reel_making_decode_part(reel_making *r, int64_t i);
/* Writes the output from the parts. */
REEL_MUST_USE reel_status reel_making_join(reel_making *r);
/* Writes what there is of a run that was stopped, and tells where; nothing when there is nothing.
 */
REEL_MUST_USE reel_status reel_making_keep_partial(reel_making *r);
/* The partial file's name, in the generation's arena; NULL when there is no memory. */
const char *reel_making_partial_path(reel_making *r);

#endif
