/* A folder written so that it appears whole.
 *
 * Files go into a temporary folder beside the target; committing renames it into place, where
 * nothing may be yet. Whatever fails before leaves neither. The files in it are to be written with
 * base/file.h, which makes each of them durable. Its system calls can be made to fail through
 * env->faults.io_at, as base/file's.
 */
#ifndef REEL_BASE_TREE_H
#define REEL_BASE_TREE_H

#include "reel/reel.h"

typedef struct reel_tree reel_tree;

/* Makes the temporary folder. REEL_E_ARG when there is something at path already. The caller closes
 * *tree whatever happens. */
REEL_MUST_USE reel_status reel_tree_open(reel_env *env, const char *path, reel_tree **tree);
/* The temporary folder, to write into. Borrowed. */
const char *reel_tree_path(const reel_tree *tree);
/* Makes a folder in it; name has no slash. */
REEL_MUST_USE reel_status reel_tree_add_folder(reel_tree *tree, const char *name);
/* Gives it its name. To be called once, before the close. REEL_E_IO when something took the place
 * meanwhile. */
REEL_MUST_USE reel_status reel_tree_commit(reel_tree *tree);
/* Frees *tree and nulls it; NULL-safe. Without a successful commit the temporary folder is removed
 * with all that is in it. */
void reel_tree_close(reel_tree **tree);

#endif
