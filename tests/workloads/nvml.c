/* A stand-in for the NVIDIA driver's library (NVML): one processor, used by a process of nobody's
 * and by the one whose number is in the file gpu_pid. Each look of the caller's is told in the file
 * samples. Built as a shared library. */
#include <stdio.h>
#include <string.h>

enum { SUCCESS = 0, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
#define MIB (1024ull * 1024)

struct process_info { unsigned pid; unsigned long long used; unsigned instance, compute; };
struct memory { unsigned version; unsigned long long total, reserved, free, used; };
struct utilization { unsigned pid; unsigned long long time; unsigned sm, memory, encoder, decoder; };

static unsigned job(void)
{
    unsigned pid = 0;
    FILE *file = fopen("gpu_pid", "r");
    if (!file)
        return 0;
    if (fscanf(file, "%u", &pid) != 1)
        pid = 0;
    fclose(file);
    return pid;
}

static int text(char *into, unsigned length, const char *what)
{
    snprintf(into, length, "%s", what);
    return SUCCESS;
}

int nvmlInit_v2(void) { return SUCCESS; }
int nvmlShutdown(void) { return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)8; return index; }
int nvmlDeviceGetName(void *device, char *name, unsigned length)
{
    (void)device;
    return text(name, length, "NVIDIA Test 100");
}
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length)
{
    (void)device;
    return text(uuid, length, "GPU-0001");
}
int nvmlSystemGetDriverVersion(char *version, unsigned length) { return text(version, length, "550.54.15"); }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12040; return SUCCESS; }
int nvmlDeviceGetMemoryInfo_v2(void *device, struct memory *memory)
{
    (void)device;
    memory->total = 80 * 1024 * MIB;
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, struct process_info *infos)
{
    static const unsigned sizes[] = {100, 300, 200};
    static unsigned look;
    unsigned pid = job();
    (void)device;
    if (!infos) {
        *count = 2;
        return INSUFFICIENT_SIZE;
    }
    memset(infos, 0, *count * sizeof *infos);
    infos[0].pid = 1;
    infos[0].used = 5000 * MIB;
    *count = 1;
    if (pid) {
        FILE *file;
        infos[1].pid = pid;
        infos[1].used = sizes[look < 2 ? look : 2] * MIB;
        *count = 2;
        look++;
        file = fopen("samples", "a");
        if (file) {
            fputs("x\n", file);
            fclose(file);
        }
    }
    return SUCCESS;
}
int nvmlDeviceGetProcessUtilization(void *device, struct utilization *uses, unsigned *count,
                                    unsigned long long since)
{
    (void)device;
    if (!uses) {
        *count = 2;
        return INSUFFICIENT_SIZE;
    }
    memset(uses, 0, 2 * sizeof *uses);
    uses[0] = (struct utilization){.pid = 1, .time = since + 1, .sm = 90};
    uses[1] = (struct utilization){.pid = job(), .time = since + 1, .sm = 50};
    *count = 2;
    return SUCCESS;
}
