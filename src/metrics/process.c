#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/base.h"
#include "metrics/process.h"
#include "shoal/sample.h"

/* Source: proc(5), statm: "size resident shared ...", in pages. */
uint64_t process_read_rss_bytes(void)
{
    AUTO_FD fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    char words[128];
    ssize_t n = fd < 0 ? -1 : read(fd, words, sizeof words - 1);
    if (n <= 0)
        return SHOAL_ABSENT;
    words[n] = '\0';
    unsigned long long pages;
    if (sscanf(words, "%*u %llu", &pages) != 1)
        return SHOAL_ABSENT;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void process_read_cpu_usec(uint64_t *out_user, uint64_t *out_system)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage); /* fails with other arguments alone */
    *out_user = (uint64_t)usage.ru_utime.tv_sec * 1000000 + (uint64_t)usage.ru_utime.tv_usec;
    *out_system = (uint64_t)usage.ru_stime.tv_sec * 1000000 + (uint64_t)usage.ru_stime.tv_usec;
}

/* The size of the directory is the number of descriptors since Linux 6.2; it was 0 before. Source: proc(5), /proc/pid/fd. */
uint64_t process_stat_fds(void)
{
    struct stat about;
    return stat("/proc/self/fd", &about) < 0 || about.st_size == 0 ? SHOAL_ABSENT : (uint64_t)about.st_size;
}

uint64_t process_count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    if (dir == NULL)
        return SHOAL_ABSENT;
    uint64_t count = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count - 1; /* the one that read the directory */
}
