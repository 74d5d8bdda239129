#include "app/cli/cli.h"

int main(int argc, char** argv) {
    return postlane::cli::main(argc, argv);
}
