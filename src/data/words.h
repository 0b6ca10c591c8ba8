/* Words of a clip: its captions, from the file beside it.
 *
 * NAME.txt holds plain text, each line that is not empty a caption of its own. NAME.json holds an
 * object with any of
 *
 *     "caption", "text", "prompt"   a caption
 *     "captions"                    several: texts, or objects {"text": ..., "language": "zh"}
 *     "caption_zh", "captions_zh"   the same in Chinese
 *
 * and whatever else, which is passed over; what `reel world` writes is of that kind. Captions are
 * cleaned as prompts are (text/prompt.h), so that a model is trained on what it will be asked.
 */
#ifndef REEL_DATA_WORDS_H
#define REEL_DATA_WORDS_H

#include "base/arena.h"

/* Captions of one clip, in memory of an arena. */
typedef struct reel_words {
    const char *const *english; /* [n_english] of any language but Chinese */
    const char *const *chinese; /* [n_chinese] */
    int64_t n_english, n_chinese;
} reel_words;

/* Reads the text of a .txt or (json true) a .json file, adding to what words holds; name stands in
 * messages. REEL_E_FORMAT when it is not UTF-8, or no JSON, or a caption is not of the kind above.
 */
REEL_MUST_USE reel_status reel_words_read(reel_env *env, reel_arena *arena, const char *name,
                                          const char *text, int64_t bytes, bool json,
                                          reel_words *words);

/* A caption by variant, of the language that is asked for when there is one, cut to room - 1 bytes
 * between two characters; "" when there is none. */
void reel_words_pick(const reel_words *words, bool chinese, uint64_t variant, char *text,
                     int64_t room);

#endif
