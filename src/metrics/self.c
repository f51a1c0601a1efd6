#include "metrics/self.h"

#include "base/base.h"
#include "metrics/process.h"

static void drop_part(struct self *self)
{
    if (--self->parts_open == 0)
        self->close_cb(self->close_data);
}

static void on_lag_closed(uv_handle_t *handle)
{
    drop_part(handle->data);
}

static void do_count(uv_work_t *work)
{
    struct self *self = CONTAINER_OF(work, struct self, counting);
    self->counting_fds = process_count_fds();
}

static void on_counted(uv_work_t *work, int status)
{
    (void)status; /* nobody cancels it */
    struct self *self = CONTAINER_OF(work, struct self, counting);
    self->is_counting = false;
    self->counted_fds = self->counting_fds;
    drop_part(self);
}

void self_init(struct self *self, uv_loop_t *loop, const struct metrics_losses *losses)
{
    *self = (struct self){.loop = loop, .losses = losses, .counted_fds = SHOAL_ABSENT, .parts_open = 1};
    (void)lag_init(&self->lag, loop);
    self->lag.prepare.data = self;
}

void self_prepare(struct self *self)
{
    if (self->is_counting || process_stat_fds() != SHOAL_ABSENT)
        return;
    if (uv_queue_work(self->loop, &self->counting, do_count, on_counted) < 0)
        return;
    self->is_counting = true;
    self->parts_open++;
}

void self_take(struct self *self, struct self_sample *out)
{
    *out = (struct self_sample){
        .time_usec = base_realtime_usec(),
        .rss_bytes = process_read_rss_bytes(),
        .fds = process_stat_fds(),
    };
    process_read_cpu_usec(&out->user_usec, &out->system_usec);
    out->usage_usec = out->user_usec + out->system_usec;
    if (out->fds == SHOAL_ABSENT)
        out->fds = self->counted_fds;
    if (self->losses != NULL)
        out->losses = *self->losses;
    lag_take(&self->lag, &out->lag);
}

void self_close(struct self *self, void (*cb)(void *data), void *data)
{
    self->close_cb = cb;
    self->close_data = data;
    lag_close(&self->lag, on_lag_closed);
}
