"""The component that BSB configurations name to have the NEST models at hand.

Importing it imports ``cerebellar_models.nest_models``, and that is its promise too. So does loading it as a file,
as configurations do that name a path to it: then nothing else imports the package around it.
"""

import cerebellar_models.nest_models  # noqa: F401
