/* Resuming: what a run has to remember, in a file beside its output.
 *
 * A safetensors file, replaced atomically after every evaluation, so that whenever a run is killed
 * a whole one is there: the latents, the sampler's memory, how many evaluations are done, the rows
 * of text, so that the text encoder need not be opened again, and the settings the result's bytes
 * depend on. A run continues only what was begun with the same settings.
 */
#ifndef REEL_PIPELINE_RESUME_H
#define REEL_PIPELINE_RESUME_H

#include "pipeline/denoise.h"
#include "pipeline/preview.h"
#include "pipeline/text_rows.h"

/* What is saved besides the driver's memory. */
typedef struct reel_resume {
    const char *settings; /* all the result depends on but the seed, in a fixed form */
    int64_t seed;
    int64_t window; /* which one is being made (pipeline/windows.h); 0 when there is only one */
    int64_t done;   /* evaluations of it */
    const reel_text_rows *text;
    const reel_preview_map *preview; /* NULL: there is none */
} reel_resume;

REEL_MUST_USE reel_status reel_resume_save(reel_env *env, const char *path,
                                           const reel_resume *resume,
                                           const reel_denoise_memory *memory);

/* A saved run, opened. */
typedef struct reel_resume_file reel_resume_file;

/* Opens the file at path. *file becomes NULL when there is none, or, with a warning in the log,
 * when it was saved under other settings (or another seed, unless seed is -1). REEL_E_FORMAT when
 * it is no such file at all: it is left for its owner to look at. The caller closes *file. */
REEL_MUST_USE reel_status reel_resume_open(reel_env *env, const char *path, const char *settings,
                                           int64_t seed, reel_resume_file **file);
/* The same from memory, which must outlive the file. */
REEL_MUST_USE reel_status reel_resume_parse(reel_env *env, const void *data, int64_t bytes,
                                            const char *settings, int64_t seed,
                                            reel_resume_file **file);
/* NULL-safe. */
void reel_resume_close(reel_resume_file **file);

int64_t reel_resume_seed(const reel_resume_file *file);
int64_t reel_resume_window(const reel_resume_file *file);
int64_t reel_resume_done(const reel_resume_file *file);
/* The rows of text, in memory of their own. The caller deinits them. */
REEL_MUST_USE reel_status reel_resume_text(const reel_resume_file *file, reel_text_rows *text);
/* True when a map of the same number of channels was saved. */
bool reel_resume_preview(const reel_resume_file *file, int64_t n_channels, reel_preview_map *map);
/* Fills a run's memory and sets how far it is; REEL_E_FORMAT when the sizes are others or the
 * memory is not one of a run so far. The run is of no use then. */
REEL_MUST_USE reel_status reel_resume_restore(const reel_resume_file *file, reel_denoise *run);

#endif
