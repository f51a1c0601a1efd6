#include "child/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/base.h"

/* Memory of a plan comes in blocks and goes all at once. */
struct plan_block {
    struct plan_block *next;
    size_t used, room;
    _Alignas(max_align_t) char bytes[];
};
enum { BLOCK_BYTES = 16 << 10 };

void plan_init(struct plan *plan)
{
    *plan = (struct plan){.channel = -1, .fail_at = -1};
}

static void free_blocks(struct plan_block *block)
{
    while (block != NULL) {
        struct plan_block *next = block->next;
        free(block);
        block = next;
    }
}

void plan_fini(struct plan *plan)
{
    free_blocks(plan->blocks);
    free(plan->steps);
    plan_init(plan);
}

void plan_reset(struct plan *plan)
{
    struct plan_step *steps = plan->steps;
    struct plan_block *block = plan->blocks;
    uint32_t room = plan->room;
    plan_init(plan);
    plan->steps = steps;
    plan->room = room;
    plan->blocks = block;
    if (block == NULL)
        return;
    free_blocks(block->next);
    block->next = NULL;
    block->used = 0;
}

static struct plan_block *add_block(struct plan *plan, size_t count)
{
    size_t room = count > BLOCK_BYTES ? count : BLOCK_BYTES;
    struct plan_block *block = malloc(sizeof *block + room);
    if (block == NULL)
        return NULL;
    *block = (struct plan_block){.next = plan->blocks, .room = room};
    plan->blocks = block;
    return block;
}

void *plan_room(struct plan *plan, size_t count)
{
    size_t aligned = (count + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    struct plan_block *block = plan->blocks;
    if (block == NULL || block->room - block->used < aligned)
        block = add_block(plan, aligned);
    if (block == NULL) {
        plan->failed = true;
        return NULL;
    }
    void *bytes = block->bytes + block->used;
    block->used += aligned;
    return memset(bytes, 0, count);
}

void *plan_keep_bytes(struct plan *plan, const void *bytes, size_t count)
{
    void *kept = plan_room(plan, count);
    if (kept != NULL)
        memcpy(kept, bytes, count);
    return kept;
}

const char *plan_keep(struct plan *plan, const char *fmt, ...)
{
    char short_text[256];
    va_list args;
    va_start(args, fmt);
    va_list again;
    va_copy(again, args);
    int count = vsnprintf(short_text, sizeof short_text, fmt, args);
    va_end(args);
    const char *kept = "";
    if (count < 0) {
        plan->failed = true;
    } else if ((size_t)count < sizeof short_text) {
        kept = plan_keep_bytes(plan, short_text, (size_t)count + 1);
    } else {
        AUTO_FREE char *long_text = NULL;
        if (vasprintf(&long_text, fmt, again) < 0) {
            long_text = NULL;
            plan->failed = true;
        } else {
            kept = plan_keep_bytes(plan, long_text, (size_t)count + 1);
        }
    }
    va_end(again);
    return kept != NULL ? kept : "";
}

struct plan_step *plan_add(struct plan *plan, enum plan_kind kind, const char *what)
{
    if (plan->count == plan->room) {
        uint32_t room = plan->room ? plan->room * 2 : 96;
        struct plan_step *steps = realloc(plan->steps, room * sizeof *steps);
        if (steps == NULL) {
            static _Thread_local struct plan_step spare; /* lets callers build on; nobody walks a failed plan */
            plan->failed = true;
            return &spare;
        }
        plan->steps = steps;
        plan->room = room;
    }
    struct plan_step *step = &plan->steps[plan->count++];
    *step = (struct plan_step){.kind = (uint16_t)kind, .keep_fd = -1, .what = what};
    return step;
}

const char *plan_step_words(const struct plan *plan, uint32_t step)
{
    if (step == REPORT_STEP_EXEC_BY_INIT && plan->count > 0)
        return plan->steps[plan->count - 1].what;
    if (step == REPORT_STEP_TABLE)
        return "take a descriptor table of its own";
    if (step == REPORT_STEP_ARRIVAL)
        return "wait for the supervisor";
    return step < plan->count ? plan->steps[step].what : "unknown step";
}
