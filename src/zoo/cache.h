/* Hugging Face's cache of downloaded repositories: finding a model by "Org/Name".
 *
 * Layout (huggingface_hub, "Understand caching"): ROOT/models--Org--Name/refs/main holds the
 * revision's hash, snapshots/HASH the files, as links into blobs/. Nothing is ever downloaded.
 */
#ifndef REEL_ZOO_CACHE_H
#define REEL_ZOO_CACHE_H

#include <stdbool.h>

#include "base/arena.h"

/* True for "Org/Name" with the characters the hub allows, and nothing that could leave a folder. */
bool reel_is_repository(const char *name);

/* The folder of a model: given itself when it is there; else, when it looks like a repository, its
 * snapshot in the cache at root (NULL: there is no cache). Fails with REEL_E_IO saying where was
 * looked and which command would download it. *path lives in the arena. */
REEL_MUST_USE reel_status reel_cache_find(reel_env *env, const char *root, const char *given,
                                          reel_arena *arena, const char **path);

#endif
