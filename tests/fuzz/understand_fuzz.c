/* Any bytes as a prompt: what was understood is in range, unknown words lie inside the text, and
 * what is possible can be made into a scene.
 */
#include "fuzz.h"

#include <string.h>

#include "base/env.h"
#include "world/understand.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    reel_understood u;
    reel_prompt_understand((const char *)data, (int64_t)size, &u);
    PROMISE(u.attributes.n_objects >= 0 && u.attributes.n_objects <= REEL_WORLD_MAX_OBJECTS);
    for (int k = 0; k < REEL_ATTRIBUTE_COUNT; k++)
        for (int i = 0; i < REEL_WORLD_MAX_OBJECTS; i++) {
            const int value = reel_attributes_get(&u.attributes, (reel_attribute)k, i);
            PROMISE(value >= REEL_ANY && value < reel_attribute_values((reel_attribute)k));
        }
    const int kept = u.n_unknown < REEL_UNKNOWN_WORDS ? u.n_unknown : REEL_UNKNOWN_WORDS;
    for (int i = 0; i < kept; i++) {
        PROMISE(u.unknown[i].from >= 0 && u.unknown[i].bytes > 0);
        PROMISE((size_t)u.unknown[i].from + (size_t)u.unknown[i].bytes <= size);
    }
    PROMISE(u.possible == (u.why[0] == '\0'));
    return 0;
}
