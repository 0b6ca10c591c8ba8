/* The kernels of this machine as what pipeline/ computes with. */
#ifndef REEL_API_BACKEND_H
#define REEL_API_BACKEND_H

#include "pipeline/generate.h"

/* The table up to a level (NULL: the machine's own; bit_exact: the portable one), and what names
 * it. REEL_E_ARG for an unknown level. The caller frees *table with reel_kernel_table_free. */
REEL_MUST_USE reel_status reel_backend_open(reel_env *env, const char *level, bool bit_exact,
                                            reel_kernel_table **table, reel_backend *backend);

#endif
