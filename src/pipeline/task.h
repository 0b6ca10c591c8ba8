/* Tasks: what pictures and clips have to do with a generation.
 *
 * Every task is two lists. The inputs say which stored frames become known latents, where on the
 * canvas, and from which noise level they start. The segments say what the file is made of: frames
 * of a clip, copied as they are, and frames that were made. Nothing behind this knows which task it
 * works for.
 *
 * Latent frame 0 is one frame of video, every later one is factor_t of them. So a clip that begins
 * inside the canvas is encoded behind a copy of its first frame, whose latent is dropped.
 */
#ifndef REEL_PIPELINE_TASK_H
#define REEL_PIPELINE_TASK_H

#include "media/picture.h"
#include "pipeline/settings.h"

enum { REEL_TASK_INPUTS = 66, REEL_TASK_SEGMENTS = 3 };

/* Frames [from, from + n) of a file as latents [at, at + latents) of the canvas. Where that needs
 * more frames than n, the last one holds. */
typedef struct reel_task_input {
    const char *path;
    uint64_t hash; /* of the file's bytes */
    int64_t from, n;
    int64_t at, latents;
    double level; /* 0: kept as it is; see canvas.h */
} reel_task_input;

/* Frames [from, from + n) of a file, or of those that are decoded. */
typedef struct reel_task_segment {
    const char *path; /* NULL: decoded */
    int64_t from, n;
} reel_task_segment;

typedef struct reel_job {
    reel_task_kind kind;
    reel_spans spans;
    int64_t F;       /* latent frames of the canvas; 0: what the settings say */
    int64_t n_steps; /* a clip that is extended backwards by more than a canvas: in so many steps,
                        each on a canvas of F; 0: at once, or in windows (pipeline/windows.h) */
    int64_t factor;  /* spans.factor */
    int64_t frames;  /* of the file */
    reel_fit fit;    /* how pictures and clips get its size */
    int n_inputs, n_segments;
    reel_task_input input[REEL_TASK_INPUTS];
    reel_task_segment segment[REEL_TASK_SEGMENTS];
    /* Pictures are shown to the model beside its latents, instead of being some of them: Wan's I2V
     * models. It takes a first one and, unless first_only, a last one. */
    bool condition, first_only;
    bool is_loop;                  /* the first frame follows the last */
    const reel_curve_point *curve; /* [n_curve]: input 1 is blended over input 0; 0: it is not */
    int n_curve;
    const char *mask; /* white: changed, black: kept; NULL: everything is changed */
    bool mask_moves;  /* it is a clip, with a frame for each of the canvas */
    uint64_t mask_hash;
} reel_job;

/* The word a task has in the file's provenance: "animate". Static. */
const char *reel_task_name(reel_task_kind kind);

/* Looks at everything the request names, and fills the task and *adjusted, a copy of the request
 * with size, length and rate as the clips have them where the request says nothing. For the task
 * "generate" nothing but the copy is made. REEL_E_UNSUPPORTED when the folder neither has a
 * noise level for each token nor takes a picture, which is enough to animate; REEL_E_ARG, REEL_E_IO
 * or REEL_E_FORMAT naming the file. Borrows the request's text. */
REEL_MUST_USE reel_status reel_task_open(reel_env *env, const reel_folder *folder,
                                         const reel_generate_request *request,
                                         const reel_spans *spans, reel_generate_request *adjusted,
                                         reel_job *task);

/* The same for a task with files, without the folder. */
REEL_MUST_USE reel_status reel_task_look(reel_env *env, const reel_generate_request *request,
                                         const reel_spans *spans, reel_generate_request *adjusted,
                                         reel_job *task);

/* Step i of a task that goes backwards in n_steps, as a job of its own: what is there is the clip
 * or, behind the first step, `before`, a file with what the step before made. Its first segment
 * says which of the frames it decodes are new, the second, of no frames, what they are joined to;
 * borrows before. */
void reel_task_step(const reel_job *task, int64_t i, const char *before, reel_job *step);
/* How many frames that makes. */
int64_t reel_task_step_frames(const reel_job *task, int64_t i);

/* Places what was opened, once the settings are resolved from the adjusted request. REEL_E_ARG when
 * something does not lie inside or the size is not one that clips can keep. */
REEL_MUST_USE reel_status reel_task_place(reel_env *env, const reel_generate_request *request,
                                          const reel_settings *settings, reel_job *task);

#endif
