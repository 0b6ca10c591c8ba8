/* Captions in Chinese. */
#include "world/caption_writer.h"

#include "world/kinds.h"

typedef const char *const phrases[4];

static phrases kinds[REEL_KIND_COUNT] = {
    [REEL_KIND_BALL] = {"球", "球", "圆球"},
    [REEL_KIND_CUBE] = {"立方体", "立方体", "方块"},
    [REEL_KIND_CONE] = {"圆锥", "圆锥体"},
    [REEL_KIND_CYLINDER] = {"圆柱", "圆柱体"},
    [REEL_KIND_RING] = {"圆环", "圆环", "环"},
    [REEL_KIND_PYRAMID] = {"金字塔"},
    [REEL_KIND_TREE] = {"树"},
    [REEL_KIND_HOUSE] = {"房子", "房子", "小屋"},
    [REEL_KIND_CAR] = {"汽车", "汽车", "轿车"},
    [REEL_KIND_BOAT] = {"船", "帆船"},
    [REEL_KIND_ROCKET] = {"火箭"},
    [REEL_KIND_SNOWMAN] = {"雪人"},
};
static const char *const measures[REEL_KIND_COUNT] = {"个", "个", "个", "个", "个", "座",
                                                      "棵", "座", "辆", "艘", "枚", "个"};
static phrases sizes[REEL_SIZE_COUNT] = {
    {"小小的", "很小的", "小型的"}, {"中等大小的"}, {"很大的", "大大的", "巨大的"}};
static phrases materials[REEL_MATERIAL_COUNT] = {{"哑光"}, {"金属"}};
static phrases colors[REEL_COLOR_COUNT] = {
    {"红色"}, {"橙色", "橘色"},   {"黄色"},         {"绿色"}, {"蓝色"},
    {"紫色"}, {"粉色", "粉红色"}, {"棕色", "褐色"}, {"黑色"}, {"白色"}};

/* What follows "at the ground": the verb alone, or with its direction in front. */
static phrases motions[REEL_MOTION_COUNT] = {
    [REEL_MOTION_STILL] = {"静静地停着", "静止不动", "一动不动"},
    [REEL_MOTION_ROLL] = {"滚动", "滚动"},
    [REEL_MOTION_SLIDE] = {"滑动", "滑行"},
    [REEL_MOTION_BOUNCE] = {"弹跳", "上下弹跳", "蹦跳"},
    [REEL_MOTION_FALL] = {"落下", "掉下来", "坠落"},
    [REEL_MOTION_RISE] = {"升起", "缓缓上升", "升到空中"},
    [REEL_MOTION_SPIN] = {"旋转", "原地旋转", "转动"},
    [REEL_MOTION_ORBIT] = {"转圈", "绕圈", "环绕移动"},
    [REEL_MOTION_DRIVE] = {"行驶", "开动"},
    [REEL_MOTION_SAIL] = {"航行"},
    [REEL_MOTION_TAKE_OFF] = {"起飞", "发射升空"},
    [REEL_MOTION_COLLIDE] = {"撞上", "碰撞", "撞到"},
    [REEL_MOTION_PASS_BEHIND] = {"后面经过", "后面穿过", "背后经过"},
    [REEL_MOTION_PUSHED] = {"被推开"},
};
static phrases headings[REEL_HEADING_COUNT] = {{""}, {"向左", "往左"}, {"向右", "往右"}};
static phrases relations[REEL_RELATION_COUNT] = {
    {""}, {"左边", "左侧"}, {"后面", "背后"}, {"上面", "顶上"}};
static phrases grounds[REEL_GROUND_COUNT] = {
    [REEL_GROUND_GRASS] = {"草地上", "绿草地上", "草坪上"},
    [REEL_GROUND_SAND] = {"沙地上", "沙滩上"},
    [REEL_GROUND_SNOW] = {"雪地上", "雪地上", "积雪上"},
    [REEL_GROUND_WATER] = {"水面上", "湖面上", "海面上"},
    [REEL_GROUND_STONE] = {"石板地上", "石头地面上", "石砖上"},
    [REEL_GROUND_CHECKERBOARD] = {"棋盘格地面上", "棋盘地面上", "方格地板上"},
};
static phrases skies[REEL_SKY_COUNT] = {
    [REEL_SKY_DAY] = {"蓝天下", "白天", "晴朗的天空下"},
    [REEL_SKY_SUNSET] = {"日落时分", "夕阳下", "黄昏时"},
    [REEL_SKY_NIGHT] = {"夜晚", "夜空下", "月光下"},
    [REEL_SKY_OVERCAST] = {"阴天", "阴沉的天空下", "多云的天空下"},
};
static phrases weathers[REEL_WEATHER_COUNT] = {
    [REEL_WEATHER_CLEAR] = {"天气晴好", "空气清澈"},
    [REEL_WEATHER_RAIN] = {"下着雨", "雨中"},
    [REEL_WEATHER_SNOWFALL] = {"下着雪", "雪花飘落"},
    [REEL_WEATHER_FOG] = {"大雾弥漫", "雾中"},
};
static phrases cameras[REEL_CAMERA_COUNT] = {
    [REEL_CAMERA_STILL] = {"镜头静止", "镜头固定不动", "固定镜头"},
    [REEL_CAMERA_PAN_LEFT] = {"镜头向左摇", "镜头左摇", "镜头向左转"},
    [REEL_CAMERA_PAN_RIGHT] = {"镜头向右摇", "镜头右摇", "镜头向右转"},
    [REEL_CAMERA_TILT_UP] = {"镜头向上仰", "镜头上仰"},
    [REEL_CAMERA_TILT_DOWN] = {"镜头向下俯", "镜头下俯"},
    [REEL_CAMERA_ZOOM_IN] = {"镜头变焦放大", "画面逐渐放大"},
    [REEL_CAMERA_ZOOM_OUT] = {"镜头变焦缩小", "画面逐渐缩小"},
    [REEL_CAMERA_DOLLY_IN] = {"镜头向前推进", "镜头推近", "镜头靠近"},
    [REEL_CAMERA_DOLLY_OUT] = {"镜头向后拉远", "镜头后退", "镜头远离"},
    [REEL_CAMERA_ORBIT_LEFT] = {"镜头向左环绕", "镜头左环绕"},
    [REEL_CAMERA_ORBIT_RIGHT] = {"镜头向右环绕", "镜头右环绕"},
};

static const char *say(reel_caption_writer *w, phrases list[], reel_attribute attribute,
                       int object) {
    return reel_caption_pick(w, list[reel_caption_value(w, attribute, object)]);
}

static void name_object(reel_caption_writer *w, int i) {
    const char *size = say(w, sizes, REEL_ATTRIBUTE_SIZE, i);
    const char *color = say(w, colors, REEL_ATTRIBUTE_COLOR, i);
    const char *material = say(w, materials, REEL_ATTRIBUTE_MATERIAL, i);
    const char *kind = say(w, kinds, REEL_ATTRIBUTE_KIND, i);
    const int style = reel_caption_lot(w, 2);
    reel_caption_put(w, "一");
    reel_caption_put(w, measures[reel_caption_value(w, REEL_ATTRIBUTE_KIND, i)]);
    if (reel_caption_names(w, REEL_ATTRIBUTE_SIZE, i)) reel_caption_put(w, size);
    if (reel_caption_names(w, REEL_ATTRIBUTE_COLOR, i)) {
        reel_caption_put(w, color);
        if (style) reel_caption_put(w, "的");
    }
    if (reel_caption_names(w, REEL_ATTRIBUTE_MATERIAL, i)) reel_caption_put(w, material);
    reel_caption_put(w, kind);
}

/* What the first object does: place, direction and verb in the order the verb asks for. */
static void put_motion(reel_caption_writer *w) {
    const int motion = reel_caption_value(w, REEL_ATTRIBUTE_MOTION, 0);
    const char *verb = say(w, motions, REEL_ATTRIBUTE_MOTION, 0);
    const char *way = say(w, headings, REEL_ATTRIBUTE_HEADING, 0);
    const char *ground = say(w, grounds, REEL_ATTRIBUTE_GROUND, 0);
    const bool on = reel_caption_names(w, REEL_ATTRIBUTE_GROUND, 0);
    const bool heads = reel_caption_names(w, REEL_ATTRIBUTE_HEADING, 0);
    const bool moves = reel_caption_names(w, REEL_ATTRIBUTE_MOTION, 0);
    const bool from = motion == REEL_MOTION_RISE || motion == REEL_MOTION_TAKE_OFF;
    if (moves && motion == REEL_MOTION_FALL) { /* falls, and where to */
        reel_caption_put(w, on ? "从空中落到" : "从空中");
        reel_caption_put(w, on ? ground : verb);
        return;
    }
    if (on) {
        reel_caption_put(w, moves && from ? "从" : "在");
        reel_caption_put(w, ground);
    }
    if (moves && motion == REEL_MOTION_ORBIT) {
        reel_caption_put(w, "围绕着");
        name_object(w, 1);
    } else if (moves && motion == REEL_MOTION_PASS_BEHIND) {
        if (heads) {
            reel_caption_put(w, way);
            reel_caption_put(w, "移动,");
        }
        reel_caption_put(w, "从");
        name_object(w, 1);
    } else if (moves && heads) {
        reel_caption_put(w, way);
    }
    if (moves) reel_caption_put(w, verb);
    if (moves && motion == REEL_MOTION_COLLIDE) {
        name_object(w, 1);
        reel_caption_put(w, "并把它推开");
    } else if (moves && motion == REEL_MOTION_PASS_BEHIND) {
        reel_caption_put(w, ",又从另一边出来");
    }
}

static void put_action(reel_caption_writer *w) {
    const bool related = reel_caption_names(w, REEL_ATTRIBUTE_RELATION, 0);
    const char *side = say(w, relations, REEL_ATTRIBUTE_RELATION, 0);
    name_object(w, 0);
    if (related) {
        reel_caption_put(w, "在");
        name_object(w, 1);
        reel_caption_put(w, "的");
        reel_caption_put(w, side);
        if (reel_caption_names(w, REEL_ATTRIBUTE_GROUND, 0) ||
            reel_caption_names(w, REEL_ATTRIBUTE_MOTION, 0))
            reel_caption_put(w, ",");
    }
    put_motion(w);
}

static void put_others(reel_caption_writer *w) {
    const int motion = reel_caption_value(w, REEL_ATTRIBUTE_MOTION, 0);
    const bool named_1 = reel_caption_names(w, REEL_ATTRIBUTE_RELATION, 0) ||
                         reel_motion_needs_partner((reel_motion)motion);
    for (int i = 1; i < w->attributes->n_objects; i++) {
        if (!w->mentions.object[i]) continue;
        const int value = reel_caption_value(w, REEL_ATTRIBUTE_MOTION, i);
        const char *verb = say(w, motions, REEL_ATTRIBUTE_MOTION, i);
        const bool acts = reel_caption_names(w, REEL_ATTRIBUTE_MOTION, i) &&
                          value != REEL_MOTION_STILL && value != REEL_MOTION_PUSHED;
        if (!acts && value != REEL_MOTION_PUSHED)
            w->mentions.object[i] &= ~(1u << REEL_ATTRIBUTE_MOTION);
        if (i == 1 && named_1) {
            if (!acts) continue;
            reel_caption_put(w, ",那");
            reel_caption_put(w, measures[reel_caption_value(w, REEL_ATTRIBUTE_KIND, 1)]);
            reel_caption_put(w, say(w, kinds, REEL_ATTRIBUTE_KIND, 1));
            reel_caption_put(w, "在");
            reel_caption_put(w, verb);
            continue;
        }
        reel_caption_put(w, acts ? ",旁边有" : ",旁边还有");
        name_object(w, i);
        if (acts) {
            reel_caption_put(w, "在");
            reel_caption_put(w, verb);
        }
    }
}

void reel_caption_chinese(reel_caption_writer *w) {
    const int style = reel_caption_lot(w, 4);
    const char *sky = say(w, skies, REEL_ATTRIBUTE_SKY, 0);
    const char *weather = say(w, weathers, REEL_ATTRIBUTE_WEATHER, 0);
    const char *camera = say(w, cameras, REEL_ATTRIBUTE_CAMERA, 0);
    if (reel_caption_names(w, REEL_ATTRIBUTE_SKY, 0)) {
        reel_caption_put(w, sky);
        reel_caption_put(w, ",");
    }
    if (reel_caption_names(w, REEL_ATTRIBUTE_WEATHER, 0)) {
        reel_caption_put(w, weather);
        reel_caption_put(w, ",");
    }
    put_action(w);
    put_others(w);
    if (reel_caption_names(w, REEL_ATTRIBUTE_CAMERA, 0)) {
        reel_caption_put(w, style == 2 ? "," : "。");
        reel_caption_put(w, camera);
    }
    if (style) reel_caption_put(w, "。");
}
