/* Splicing: decoded frames and frames of clips, joined into one file, and the seams measured. */
#ifndef REEL_PIPELINE_SPLICE_H
#define REEL_PIPELINE_SPLICE_H

#include "media/video_writer.h"
#include "pipeline/task.h"

typedef struct reel_splice reel_splice;

/* Begins a file of a task's segments. env, task and writer are borrowed; frames are width x height
 * pixels. The caller closes *splice. */
REEL_MUST_USE reel_status reel_splice_open(reel_env *env, const reel_job *task, int width,
                                           int height, reel_video_writer *writer,
                                           reel_splice **splice);
/* NULL-safe. */
void reel_splice_close(reel_splice **splice);

/* Takes decoded frame `index`, [H,W,3], from 0 on and in order. Clips' frames that come before it
 * are written first; frames no segment wants are passed over. context is a reel_splice. */
reel_status reel_splice_frame(void *context, int64_t index, const uint8_t *pixels);

/* Writes what comes behind the last decoded frame. REEL_E_ARG when decoded frames are missing. */
REEL_MUST_USE reel_status reel_splice_finish(reel_splice *splice);

/* The largest step from one frame to the next where segments meet (and, in a loop, from the last
 * frame to the first), over the median of the steps inside the segments; a step is the mean
 * absolute difference of pixels. Negative when there is no seam, or nothing inside moves. After
 * finish. */
double reel_splice_seam(const reel_splice *splice);

#endif
