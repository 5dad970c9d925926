// A command station: the body comes on standard input, standard output is the new body, standard
// error goes to the item's log. Exit 0 passes the item on, 75 asks for another try, anything else
// rejects it.
#include <stdio.h>
#include <string.h>

int main(void) {
    char name[256];
    if (fgets(name, sizeof name, stdin) == NULL) {
        fputs("nobody to greet\n", stderr);
        return 1;
    }
    name[strcspn(name, "\r\n")] = '\0';
    printf("hello %s\n", name);
    return 0;
}
