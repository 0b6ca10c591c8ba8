/* Sweeping: temporaries that a writer of base/file.h left because its process was killed. */
#ifndef REEL_BASE_SWEEP_H
#define REEL_BASE_SWEEP_H

/* Removes the temporaries beside path, PATH.<process>.<attempt>.tmp, that no living writer holds.
 * A writer locks its temporary: one that can be locked belongs to nobody.
 * Nothing fails: what cannot be removed stays. */
void reel_sweep(const char *path);

#endif
