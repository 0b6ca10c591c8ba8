/* Memory as the operating system counts it: what this process holds, what the machine has left.
 *
 * Read from /proc; where there is none the answer is -1, not known.
 */
#ifndef REEL_BASE_MEMORY_H
#define REEL_BASE_MEMORY_H

#include <stdint.h>

/* Bytes of this process in memory, mapped files included (VmRSS). */
int64_t reel_memory_resident(void);
/* The most there have been (VmHWM). */
int64_t reel_memory_peak(void);
/* Bytes this machine could still give without swapping (MemAvailable); a limit of the control group
 * is not looked at. */
int64_t reel_memory_available(void);

/* Gives freed memory back to the system, where the C library keeps it for later: between phases
 * that each need much of their own, what one of them freed would count for the next. */
void reel_memory_trim(void);

#endif
