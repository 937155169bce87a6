/* A 32-bit program without a C library, so that a 64-bit toolchain alone can build it:
 * gcc -m32 -nostdlib -static. Usage: bits32 IN OUT TEMPORARY FINAL
 *
 * IN is read, OUT is made and written, TEMPORARY is made and renamed to FINAL; the call
 * numbers are those of i386. */
enum { EXIT = 1, READ = 3, WRITE = 4, OPEN = 5, RENAME = 38 };
enum { O_WRONLY = 1, O_CREAT = 0100 };

static long call(long number, long a, long b, long c)
{
	long result;
	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

static long must(long result)
{
	if (result < 0)
		call(EXIT, 99, 0, 0);
	return result;
}

__attribute__((used)) static void start(long *stack)
{
	char **arguments = (char **)(stack + 1);
	char bytes[64];
	long in = must(call(OPEN, (long)arguments[1], 0, 0));
	long count = must(call(READ, in, (long)bytes, sizeof bytes));
	for (int i = 2; i <= 3; i++) {
		long out = must(call(OPEN, (long)arguments[i], O_WRONLY | O_CREAT, 0644));
		must(call(WRITE, out, (long)bytes, count));
	}
	must(call(RENAME, (long)arguments[3], (long)arguments[4], 0));
	call(EXIT, 0, 0, 0);
}

__asm__(".globl _start\n_start:\n\tmovl %esp, %eax\n\tpushl %eax\n\tcall start\n");
