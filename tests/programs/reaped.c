/* Have a program say how each of its children has ended, where it waits for them in C. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

pid_t waitpid(pid_t pid, int *status, int options)
{
	pid_t (*wait)(pid_t, int *, int) = dlsym(RTLD_NEXT, "waitpid");
	int told = 0;
	pid_t ended = wait(pid, &told, options);
	char line[64];

	if (ended > 0 && (WIFEXITED(told) || WIFSIGNALED(told))) {
		int code = WIFEXITED(told) ? WEXITSTATUS(told) : -WTERMSIG(told);
		int length = snprintf(line, sizeof line, "\nreaped %d %d\n", (int)ended, code);
		if (write(1, line, length) < 0)
			told = told; /* nobody reads it any more */
	}
	if (status)
		*status = told;
	return ended;
}
