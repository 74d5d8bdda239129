// Reads the files that settings name: credentials, the admin token, librdkafka's secrets.
#pragma once

#include "config/draft.h"

namespace postlane::config {

// Fills the secrets of draft.config and reports files that are missing, empty or open to others.
void read_secret_files(Draft& draft);

}  // namespace postlane::config
