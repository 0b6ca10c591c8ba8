/* What is known: the pictures and clips of a task, encoded onto a canvas. */
#ifndef REEL_PIPELINE_KNOWN_H
#define REEL_PIPELINE_KNOWN_H

#include "models/wan/vae_stream.h"
#include "pipeline/canvas.h"
#include "pipeline/task.h"
#include "pipeline/windows.h"

typedef struct reel_known_options {
    const reel_wan_vae_config *config;
    reel_params *params;
    const reel_kernel_table *table;
    reel_dtype compute;
    int64_t width, height;      /* pixels: what files are fitted into */
    int64_t patch[3];           /* of the transformer */
    int64_t tile[2], stride[2]; /* of conditions: as reel_wan_vae_stream_options */
    /* Asked before each piece; anything but REEL_OK ends the work. May be NULL. */
    reel_status (*tick)(void *context);
    void *context;
} reel_known_options;

/* Encodes what a window of the task has of its inputs into the canvas, whose size is the options'
 * and as long as the window, and limits it to the mask. The context is not put. REEL_E_FORMAT or
 * REEL_E_ARG naming the file when one cannot be used. */
REEL_MUST_USE reel_status reel_known_put(reel_env *env, const reel_known_options *options,
                                         const reel_job *task, const reel_window *window,
                                         reel_canvas *canvas);

/* Whether a window has anything of an input. */
bool reel_known_touches(const reel_job *task, const reel_window *window);

#endif
