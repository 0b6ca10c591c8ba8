#include "world/split.h"

#include "base/rng.h"

/* The keys of the two hashes; changing one makes another world. */
enum { PAIR_KEY = 1202, COMBINATION_KEY = 2024 };

/* The held-out color of a kind is drawn by hash; black and white are left to training, since what
 * they can stand on is limited. */
bool reel_heldout_pair(reel_kind kind, reel_color color) {
    const uint64_t n = REEL_COLOR_BLACK; /* the colors before black */
    return color == (reel_color)reel_rng_below(PAIR_KEY, 0, (uint64_t)kind, n);
}

bool reel_heldout_combination(const reel_attributes *a) {
    uint64_t code = (uint64_t)a->object[0][REEL_ATTRIBUTE_KIND];
    code = code * REEL_COLOR_COUNT + (uint64_t)a->object[0][REEL_ATTRIBUTE_COLOR];
    code = code * REEL_MOTION_COUNT + (uint64_t)a->object[0][REEL_ATTRIBUTE_MOTION];
    code = code * REEL_GROUND_COUNT + (uint64_t)a->ground;
    code = code * REEL_SKY_COUNT + (uint64_t)a->sky;
    return reel_rng_below(COMBINATION_KEY, 0, code, 20) == 0;
}

#define P(english, chinese, kind, color, motion, ground, sky)                                      \
    {                                                                                              \
        english, chinese, REEL_KIND_##kind, REEL_COLOR_##color, REEL_MOTION_##motion,              \
            REEL_GROUND_##ground, REEL_SKY_##sky                                                   \
    }
static const reel_heldout_prompt prompts[] = {
    P("a red ball bounces on green grass at sunset", "日落时分,一个红色的球在绿草地上弹跳", BALL,
      RED, BOUNCE, GRASS, SUNSET),
    P("a yellow boat sails on the water under a blue sky", "蓝天下,一艘黄色的船在水面上航行", BOAT,
      YELLOW, SAIL, WATER, DAY),
    P("a white rocket takes off from the sand at night", "夜晚,一枚白色的火箭从沙地上起飞", ROCKET,
      WHITE, TAKE_OFF, SAND, NIGHT),
    P("a blue car drives over stone under a grey sky", "阴天,一辆蓝色的汽车在石板地上行驶", CAR,
      BLUE, DRIVE, STONE, OVERCAST),
    P("a green pyramid spins on the snow by day", "白天,一座绿色的金字塔在雪地上旋转", PYRAMID,
      GREEN, SPIN, SNOW, DAY),
    P("an orange cube falls onto a checkerboard under a grey sky",
      "阴天,一个橙色的立方体落到棋盘地面上", CUBE, ORANGE, FALL, CHECKERBOARD, OVERCAST),
    P("a pink ring rolls over the sand by day", "白天,一个粉色的圆环在沙地上滚动", RING, PINK, ROLL,
      SAND, DAY),
    P("a purple cone rises from the grass at night", "夜晚,一个紫色的圆锥从草地上升起", CONE,
      PURPLE, RISE, GRASS, NIGHT),
    P("a brown cylinder rolls over stone at sunset", "日落时分,一个棕色的圆柱在石板地上滚动",
      CYLINDER, BROWN, ROLL, STONE, SUNSET),
    P("a red snowman stands still in the snow under a grey sky",
      "阴天,一个红色的雪人静静地站在雪地上", SNOWMAN, RED, STILL, SNOW, OVERCAST),
};
#undef P

const reel_heldout_prompt *reel_heldout_prompts(int *n) {
    *n = sizeof prompts / sizeof *prompts;
    return prompts;
}

static bool described_by_a_prompt(const reel_attributes *a) {
    for (size_t i = 0; i < sizeof prompts / sizeof *prompts; i++) {
        const reel_heldout_prompt *p = &prompts[i];
        if ((int)p->kind == a->object[0][REEL_ATTRIBUTE_KIND] &&
            (int)p->color == a->object[0][REEL_ATTRIBUTE_COLOR] &&
            (int)p->motion == a->object[0][REEL_ATTRIBUTE_MOTION] && (int)p->ground == a->ground &&
            (int)p->sky == a->sky)
            return true;
    }
    return false;
}

static bool object_heldout(const reel_attributes *a, int object) {
    return reel_heldout_pair((reel_kind)a->object[object][REEL_ATTRIBUTE_KIND],
                             (reel_color)a->object[object][REEL_ATTRIBUTE_COLOR]);
}

bool reel_split_admits(reel_split split, const reel_attributes *attributes) {
    if (split == REEL_SPLIT_HELDOUT_PAIRS) return object_heldout(attributes, 0);
    for (int i = 0; i < attributes->n_objects; i++)
        if (object_heldout(attributes, i)) return false;
    const bool held = reel_heldout_combination(attributes) || described_by_a_prompt(attributes);
    return held == (split == REEL_SPLIT_VALIDATION);
}

const char *reel_split_name(reel_split split) {
    static const char *const names[] = {"train", "validation", "heldout_pairs"};
    return names[split];
}
