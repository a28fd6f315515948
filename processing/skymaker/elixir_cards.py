"""Cards that the observatory adds: the joining of both halves of a CCD, and Elixir's processing and calibration.

Laid out as in `processing.skymaker.observation_cards`.
"""

SPLICE = """\
  COMMENT
  COMMENT Processing Pipeline
  COMMENT -------------------
  COMMENT
  CRUNID  = '{camera_run:<8}' / Elixir camera run ID
  HISTORY imsplice: FLIPS ver 3.0 - Elixir by CFHT - {spliced_long}
  HISTORY imsplice: Splicing the two readouts (A&B) per CCD into a unique image
  HISTORY imsplice: Splicing results in all detectors as if read from A amplifier
  HISTORY imsplice: NEXTEND keyword updated (/2) = number of CCDs vs. amplifiers
  HISTORY imsplice: EXTNAME keyword becomes `ccdxx` instead of `ampxx`
  HISTORY imsplice: AMPNAME keyword now covers both amplifiers (eg `29a + 29b')
  HISTORY imsplice: keyword {{GAIN, RDNOISE, MAXLIN}} replaced by two keywords [A,B]
  HISTORY imsplice: DATASEC and DETSEC keywords now reflect the entire CCD
  HISTORY imsplice: BIASSEC becomes irrelevant -> replaced by BSECA & BSECB
  HISTORY imsplice: New keywords are DETSECA, DETSECB, DSECA, DSECB, TSECA, TSECB
  HISTORY imsplice: New keywords are ASECA, ASECB, CSECA, CSECB
  COMMENT Unique detector IDs for MegaCam (North on top, East to the left)
  COMMENT    --------------------------
  COMMENT    ba ba ba ba ba ba ba ba ba
  COMMENT    00 01 02 03 04 05 06 07 08
  COMMENT --------------------------------
  COMMENT ba ba ba ba ba ba ba ba ba ba ba
  COMMENT 36 09 10 11 12 13 14 15 16 17 37
  COMMENT --------------------------------
  COMMENT 38 18 19 20 21 22 23 24 25 26 39
  COMMENT ab ab ab ab ab ab ab ab ab ab ab
  COMMENT --------------------------------
  COMMENT    27 28 29 30 31 32 33 34 35
  COMMENT    ab ab ab ab ab ab ab ab ab
  COMMENT    __________________________
  COMMENT The two upper rows of CCDs are flipped, a=A amp, b=B amp
"""

ELIXIR = """\
  COMMENT  Fully Characterized and Analysed by Elixir @ CFHT
  HISTORY imred: FLIPS ver 3.0 - Elixir by CFHT - {processed_long}
  COMMENT imred: Elixir / Flips2 flatten.flips
P HISTORY imred: Input image:  {number}o
C HISTORY imred: Input image:  {number}o{part}
  HISTORY imred: Output image: {filename}
  HISTORY imred: Camera offset correction with overscan level subtraction
P HISTORY imred: Overscan computed in BIASSEC (1 amp) or BSEC[A/B] (dual amp)
C HISTORY imred: Overscan A amp computed from [1:32,1:4644]      = {bias_a} ADU
C HISTORY imred: Overscan B amp computed from [2081:2112,1:4644] = {bias_b} ADU
  HISTORY imred: Overscan model: 1D median Y axis vector in bias section
P HISTORY imred: Mask bad pixels: * {mask}
P HISTORY imred: Bias structures: - {bias}
P HISTORY imred: Flat-fielding: / {flat}
C HISTORY imred: Mask bad pixels: * {mask}{part}
C HISTORY imred: Bias structures: - {bias}{part} (mode A_amp=0
C HISTORY imred: Flat-fielding: * 1.0 / {flat}{part}
C HISTORY imred: Normalized flat-field (ref. scaling factor= 1.0)
C HISTORY imred: Preserving dynamic: stretching 65K ADU range by 1.000 (BSCALe)
  IMRED_DT= 'FLIPS ver 3.0 - Elixir by CFHT - {processed_long}' / Date
  COMMENT  --------------- Elixir Analysis ---------------
  IMRED_IF= '{number}o{part}' / Input file to process by imred
  IMRED_OF= '{filename}' / Output file resulting from the process by imred
  IMRED_OP= '{operations}' / Operation(s)
  IMRED_MK= '{mask}{part}' / Mask of bad pixels (0/1) input file
  IMRED_OV= '1DYMODEL_OVERSCAN'  / Type of overscan level correction
  IMRED_BS= '{bias}{part}' / Bias frame input file
  IMRED_FF= '{flat}{part}' / Flat-field frame input file
C IMRED_NF=                    T / Normalized flat-field
C IMRED_SF=          1.000000000 / Output file dynamic stretching factor (BSCALe)
  COMMENT  Elixir: processing performed @ CFHT, version 2.0
  COMMENT  Elixir: version: 2.0
  COMMENT  Elixir: processing date: {processed}
  COMMENT  Elixir: website: http://www.cfht.hawaii.edu/Instruments/Elixir
  COMMENT  Elixir: email: elixir@cfht.hawaii.edu
  COMMENT  Elixir: team: Eugene Magnier & Jean-Charles Cuillandre
  DATEPROC= '{processed}' / Processing Date
  EL_SYS  = '2.0               ' / Elixir System Version
C NASTRO  = {astrometric_stars:20d} / number of stars used for astrometry
C CERROR  = {astrometric_scatter:20.10f} / scatter in astrometry soln (arcsec)
  PHOT_C  = {zero_point:20.4f} / Elixir zero point - measured for camera run
  PHOT_CS = {zero_scatter:20.4f} / Elixir zero point - scatter
  PHOT_NS =                   16 / Elixir zero point - N stars
  PHOT_NM =                    4 / Elixir zero point - N images
  PHOT_C0 = {zero_nominal:20.4f} / Elixir zero point - nominal
  PHOT_X  = {colour_term:20.4f} / Elixir zero point - color term
  PHOT_K  = {airmass_term:20.4f} / Elixir zero point - airmass term
  PHOT_C1 = '{colour1:<8}' / Elixir zero point - color 1
  PHOT_C2 = '{colour2:<8}' / Elixir zero point - color 2
C MAG_SAT = {mag_saturated:20.4f} / approx saturation (mag)
C MAG_LIM = {mag_limit:20.4f} / approx completeness limit (mag)
  COMMENT   Formula for Photometry, based on keywords given in this header:
  COMMENT   m = -2.5*log(DN) + 2.5*log(EXPTIME)
  COMMENT   M = m + PHOT_C + PHOT_K*(AIRMASS - 1) + PHOT_X*(PHOT_C1 - PHOT_C2)
  COMMENT  --------------- Elixir Analysis (end) ---------------
"""
