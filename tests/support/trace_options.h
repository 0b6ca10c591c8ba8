/* The schedulers of reference traces (tests/golden/schedulers) as options of reel's samplers. */
#ifndef REEL_TESTS_TRACE_OPTIONS_H
#define REEL_TESTS_TRACE_OPTIONS_H

#include "base/json.h"
#include "diffusion/sampler.h"

enum { TRACE_MAX_SIGMAS = 128 };

/* Reads a trace's class, config, set_timesteps and step_kwargs. sigmas [TRACE_MAX_SIGMAS] must stay
 * alive while the sampler is made. REEL_E_UNSUPPORTED for a class that no sampler reproduces. */
REEL_MUST_USE reel_status trace_options_read(const reel_json *trace, reel_sampler_options *options,
                                             double *sigmas);

/* Reads at most `most` numbers of the list under key, or of `at` itself when key is NULL; *n is 0
 * when there is no such key. */
REEL_MUST_USE reel_status trace_reals(const reel_json *at, const char *key, double *out, int most,
                                      int *n);

#endif
