"""Cards of a MegaCam exposure, as the camera and the telescope write them.

Two letters before each card say where it stands: P in the primary header, C in
those of the CCDs, nothing in both. The fields are filled by `processing.skymaker.headers`.
"""

EXPOSURE = """\
P NEXTEND = {extensions:20d} / Number of extensions
  COMMENT
  COMMENT Observation Summary
  COMMENT -------------------
  CMMTOBS = 'painted '
  CMMTSEQ = '{pattern}'
  OBJECT  = '{object:<8}'
  OBSERVER= 'QSO Team'
  PI_NAME = '{principal:<8}'
  RUNID   = '{run:<8}'
  FILENAME= '{filename:<8}' / Current filename after processing
  PATHNAME= '/data/painted/megacam/{queue}' / Original directory name at acquis
C EXTVER  = {index:20d} / Now matches the CCD number in the mosaic
  DATE    = '{written}' / UTC Date of file creation
  HSTTIME = '{hawaii}' / Local time in Hawaii
  IMAGESWV= 'CFHT DetCom v4.4 (Feb 17 2006)' / Image creation software version
  COMMENT file {number}o, raster FULL, etype OBJECT, etime {requested:.0f}, filter filter_name
  DETECTOR= 'MegaCam '
  COMMENT
P COMMENT General Information
P COMMENT -------------------
C COMMENT Unique amplifier IDs for MegaCam:
C COMMENT
C COMMENT -- -- 00 01 02 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 -- --
C COMMENT 72 73 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 74 75
C COMMENT 76 77 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 78 79
C COMMENT -- -- 54 55 56 57 58 59 60 61 62 63 64 65 66 67 68 69 70 71 -- --
C COMMENT
C COMMENT
C COMMENT Detector
  COMMENT --------
  DETSIZE = '[1:23219,1:19354]'  / Total data pixels in full mosaic
  RASTER  = 'FULL    '
  CCDSUM  = '1 1     '           / Binning factors
  CCDBIN1 =                    1 / Binning factor along first axis
  CCDBIN2 =                    1 / Binning factor along second axis
  PIXSIZE1=                 13.5 / Pixel size for axis 1 (microns)
  PIXSIZE2=                 13.5 / Pixel size for axis 2 (microns)
  PIXSCAL1=               0.1850 / Pixel scale for axis 1 (arcsec/pixel)
  PIXSCAL2=               0.1850 / Pixel scale for axis 2 (arcsec/pixel)
C AMPNAME = '{index:02}a + {index:02}b' / List of amplifiers names for this image
C AMPLIST = '{amplifiers_read}' / Data are now as if CCD read from A amp
C CCDSIZE = '[1:2048,1:4612]'    / Detector imaging area size
C DETSEC  = '{detsec}' / Mosaic area of the entire readout
C DETSECA = '{detsec_a}' / Mosaic area of the A readout
C DETSECB = '{detsec_b}' / Mosaic area of the B readout
C DATASEC = '[33:2080,1:4612]'   / Imaging area of the entire CCD in raw frame
C IMMODE  = {mode:20d} / Detector imaging area mode
C IMMODEA = {mode:20d} / Imaging area mode for A amplifier
C IMMODEB = {mode:20d} / Imaging area mode for B amplifier
C ASECA   = '[1:1056,1:4612]'    / Section by A amplifier in raw frame
C DSECA   = '[33:1056,1:4612]'   / Image area of A amplifier in raw frame
C TSECA   = '[33:1056,1:4612]'   / Trim section of A amplifier = DSECA
C BSECA   = '[1:32,1:4644]'      / Overscan of A amplifier in raw frame
C CSECA   = '[1:1024,1:4612]'    / Section in full CCD after BSECA cut out
C ASECB   = '[1057:2112,1:4612]' / Section by B amplifier in raw frame
C DSECB   = '[1057:2080,1:4612]' / Image area of B amplifier in raw frame
C TSECB   = '[1057:2080,1:4612]' / Trim section of B amplifier = DSECB
C BSECB   = '[2081:2112,1:4644]' / Overscan of B amplifier in raw frame
C CSECB   = '[1025:2048,1:4612]' / Section in full CCD after BSECB cut out
  CCD     = 'Marconi/EEV CCD42-90'
P MAXLIN  =                65535 / Maximum linearity value (ADU)
P SATURATE=                65535 / Saturation value (ADU)
C CCDNAME = '{serial:<8}' / Name of the CCD (manufacturer reference)
C CCDNICK = '{nick:<8}' / Nickname of the CCD
C MAXLIN  = {saturation:20d} / Level at 1% linearity departure (ADU)
C MAXLINA = {saturation:20d} / Level at 1% linearity departure (ADU) - A amp
C MAXLINB = {saturation:20d} / Level at 1% linearity departure (ADU) - B amp
C SATURATE= {saturation:20d} / Pixel saturation level (ADU)
C GAIN    = {gain:20.4f} / Converting gain (e-/ADU)
C GAINA   = {gain_a:20.4f} / Converting gain of A amplifier (e-/ADU)
C GAINB   = {gain_b:20.4f} / Converting gain of B amplifier (e-/ADU)
C RDNOISE = {read_noise:20.1f} / Read noise (electrons) = Average [A,B] amps
C RDNOISEA= {read_noise_a:20.1f} / Read noise (electrons) A amplifier
C RDNOISEB= {read_noise_b:20.1f} / Read noise (electrons) B amplifier
C DARKCUR = {dark_current:20.1f} / Dark current (e-/pixel/hour)
  QEPOINTS= '48%@350 86%@450 83%@550 78%@650 62%@750 38%@850 12%@950' / QE%@wavele
  CONSWV  = 'Not implemented'    / Controller software DSPID and SERNO versions
  DETSTAT = 'temp_status'        / temp_status_comment
  DETTEM  =              -133.23 / Temp. Cold Plate (C)
C INHERIT =                    F / No need to inherit global headers
  TIMESYS = 'UTC     '           / Time System for DATExxxx
  OBSTYPE = 'OBJECT  '           / Observation/ Exposure type
  EXPTYPE = 'OBJECT  '           / OBSTYPE is the new name for this
  EXPNUM  = {number:20d} / CFHT odometer number
  OBSID   = {number:20d} / CFHT odometer number
  EXPTIME = {exptime:20.3f} / Guessed integration time (seconds)
  EXPREQ  = {requested:20.1f} / Requested integration time (seconds)
  EXPMEAS = {measured:20.3f} / Measured shutter time (seconds)
  DARKTIME= {requested:20.2f} / Dark current time (seconds)
  ORIGIN  = 'CFHT    '           / Canada-France-Hawaii Telescope
P NCCDS   = {ccds:20d} / Number of devices
P NAMPS   = {amplifiers:20d} / Number of amplifiers
C CRPIX1  = {crpix1:20.10f} / WCS Coordinate reference pixel
C CRPIX2  = {crpix2:20.10f} / WCS Coordinate reference pixel
C CD1_1   = {cd1_1:20.5E} / WCS Coordinate scale matrix
C CD1_2   = {cd1_2:20.5E} / WCS Coordinate scale matrix
C CD2_1   = {cd2_1:20.5E} / WCS Coordinate scale matrix
C CD2_2   = {cd2_2:20.5E} / WCS Coordinate scale matrix
  INSTRUME= 'MegaPrime'
  INSTMODE= 'Normal  '           / Instrument Mode
  REGMODE = 'Normal  '           / Registration Mode
  RAOFF   =                  0.0 / Right ascension compensation
  DECOFF  =                  0.0 / Declination compensation
C BIASSEC = '[0:0,0:0]'          / Dual amplifiers readout - see BSECA & BSECB
  SHUTOPEN=               0.0000 / Shutter blade opening time (msec)
  SHUTCLOS=               0.0000 / Shutter blade closing time (msec)
  FILTER  = '{filter:<8}' / Name of filter in position
  FILTERID= {filter_id:20d} / Holder ID (see also FILTER)
  TESTSPHE=                 -1.8 /    temp, surface, telescope spider w/He deg C
  QRUNID  = '{queue:<8}' / Q RunID
  QOBSERVE= 'TERAPIX SkyMaker'   / Name of Q Observer
  QCOORD  = 'TERAPIX '           / Name of Q Coordinator
  QID     = 55000500000000002165
  QOBSEQID= 55001400000000002374
  QICSEQID= 55051200000000029041
  QOBITER = {iteration:20d}
  QOFFID  = 10000200000000000267
  REL_DATE= '{release}' / UTC Release Date
"""

TELESCOPE = """\
  COMMENT
  COMMENT Telescope
  COMMENT ---------
  COMMENT
  TELESCOP= 'CFHT 3.6m'          / Hawaii Big Island, Mauna Kea
  LATITUDE=            19.825252 / Latitude (degrees N)
  LONGITUD=          -155.468876 / Longitude (degrees E)
  TELSTAT = 'auto_guide'         / Telescope Control System status
  DATE-OBS= '{date}' / Date at start of observation (UTC)
  UTIME   = '{time}' / Time at start of observation (UT)
  UTC-OBS = '{time}' / Time at start of observation (UTC)
  MJDATE  = {mjd:20.7f} / Modified Julian Date at start of observation
  MJD-OBS = {mjd:20.7f} / Modified Julian Date at start of obs.
  SIDTIME = '{sidereal}' / Sidereal time at start of observation
  LST-OBS = '{sidereal}' / Sidereal time at start of exposure
  DATEEND = '{end_date}' / Date at end of observation (UTC)
  UTCEND  = '{end_time}' / Time at end of observation (UTC)
  MJDEND  = {end_mjd:20.7f} / Modified Julian Date at end of obs.
  LSTEND  = '{end_sidereal}' / Sidereal time at end of exposure
  EQUINOX =               2000.0 / Equinox of coordinates
  RADECSYS= 'FK5     '           / Coordinate system for equinox (FK4/FK5/GAPPT)
  COMMENT RA/DEC are current telescope position
  COMMENT including handset corrections
  RA      = '{ra}' / Object right ascension
  DEC     = '{dec}' / Object declination
  HA      = '{hour_angle}' / Object hour angle at start of exposure
  HAEND   = '{end_hour_angle}' / Object hour angle at end of exposure
  INSTZRA =                15.00 / Instrument zero for RA in arc seconds
  INSTZDEC=                15.00 / Instrument zero for Dec in arc seconds
  RA_DEG  = {ra_deg:20.6f} / Object right ascension in degrees
  DEC_DEG = {dec_deg:20.6f} / Object declination in degrees
  COMMENT OBJxxx are original target position
  COMMENT plus proper motion and precession
  OBJNAME = '{object:<8}' / Target name
  OBJMAG  =                  0.0 / Target magnitude
  OBJEQUIN=               2000.0 / Target equinox
  OBJRADEC= 'FK5     '           / Coordinate system for equinox (FK4/FK5/GAPPT)
  OBJRA   = '{field_ra}' / Target right ascension
  OBJDEC  = '{field_dec}' / Target declination
  OBJRAPM =                 0.00 / Target right ascension proper motion in as/yr
  OBJDECPM=                 0.00 / Target declination proper motion in as/yr
  CRVAL1  = {crval1:20.10f} / WCS Ref value (RA in decimal degrees)
  CRVAL2  = {crval2:20.10f} / WCS Ref value (DEC in decimal degrees)
  CTYPE1  = 'RA---TAN'           / WCS Coordinate type
  CTYPE2  = 'DEC--TAN'           / WCS Coordinate type
  NGUIDER =                    2 / TCS Number of guiders
  NGUISTAR=                    2 / TCS number of guide stars/probes in use
  GUINAME = 'North field guider (South probe)' / TCS guider name
  GUIEQUIN=               2000.0 / TCS guider equinox
  GUIRADEC= 'FK5     '           / TCS guider system for equinox
  GUIRA   = '{guide1_ra}' / TCS guider right ascension
  GUIDEC  = '{guide1_dec}' / TCS guider declination
  GUIRAPM =                -0.05 / TCS guider right ascension proper motion arcsec
  GUIDECPM=                -0.05 / TCS guider declination proper motion arcsec
  GUIOBJN = 'none    '           / TCS guider object name
  GUIMAGN =                 11.0 / TCS guider object magnitude
  XPROBE  =              -15.267 / Telescope bonnette guide probe X position
  YPROBE  =               16.128 / Telescope bonnette guide probe Y position
  ZPROBE  =              -12.319 / Telescope bonnette guide probe Z position
  GUIFLUX =                -9999 / TCS guider flux
  GUIFWHX =              -9999.9 / TCS guider average x FWHM in pixels
  GUIFWHY =              -9999.9 / TCS guider average y FWHM in pixels
  SKYFLUX =                    0 / TCS total sky flux
  GUINAME1= 'North field guider (South probe)' / TCS guider #1 identification
  GUIEQUI1=               2000.0 / TCS guider #1 equinox
  GUIRADE1= 'FK5     '           / TCS guider #1 system for equinox
  GUIRA1  = '{guide1_ra}' / TCS guider #1 right ascension
  GUIDEC1 = '{guide1_dec}' / TCS guider #1 declination
  GUIRAPM1=                -0.05 / TCS guider #1 right ascen proper motion arcsec
  GUIDEPM1=                -0.05 / TCS guider #1 declination proper motion arcsec
  GUIOBJN1= 'none    '           / TCS guider #1 object name
  GUIMAGN1=                 11.0 / TCS guider #1 object magnitude
  GUIPOSX1=              -15.267 / TCS guider #1 probe x position
  GUIPOSY1=               16.128 / TCS guider #1 probe y position
  GUIPOSZ1=              -12.319 / TCS guider #1 probe z position
  GUIFLUX1=                -9999 / TCS guider #1 flux
  GUIFWHX1=              -9999.9 / TCS guider #1 average x FWHM in pixels
  GUIFWHY1=              -9999.9 / TCS guider #1 average y FWHM in pixels
  GUINAME2= 'South field guider (North probe)' / TCS guider #2 identification
  GUIEQUI2=               2000.0 / TCS guider #2 equinox
  GUIRADE2= 'FK5     '           / TCS guider #2 system for equinox
  GUIRA2  = '{guide2_ra}' / TCS guider #2 right ascension
  GUIDEC2 = '{guide2_dec}' / TCS guider #2 declination
  GUIRAPM2=                 0.01 / TCS guider #2 right ascen proper motion arcsec
  GUIDEPM2=                 0.00 / TCS guider #2 declination proper motion arcsec
  GUIOBJN2= 'none    '           / TCS guider #2 object name
  GUIMAGN2=                 13.3 / TCS guider #2 object magnitude
  GUIPOSX2=               19.684 / TCS guider #2 probe x position
  GUIPOSY2=               25.613 / TCS guider #2 probe y position
  GUIPOSZ2=              -12.361 / TCS guider #2 probe z position
  GUIFLUX2=                -9999 / TCS guider #2 flux
  GUIFWHX2=              -9999.9 / TCS guider #2 average x FWHM in pixels
  GUIFWHY2=              -9999.9 / TCS guider #2 average y FWHM in pixels
  AIRMASS = {airmass:20.3f} / Airmass at start of observation
  TELALT  = {altitude:20.2f} / Telescope altitude at start of observation, deg
  TELAZ   = {azimuth:20.2f} / Telescope azimuth at start, deg, 0=N 90=E 270=W
  DOMEAZ  = {azimuth:20.1f} / Dome azimuth at start, deg, 0=N 90=E 270=W
  MOONANGL= {moon_angle:20.2f} / Angle from object to moon at start in degrees
  MOONPHAS= {moon_phase:20.2f} / Moon phase @ 0 HST, 0..1 new>full, -1..0 >new
  MOONUP  = '{moon_up}'           / Moon up? True or False
  MOONALT = {moon_altitude:20.2f} / Moon altitude at start in degrees
  MOONAZ  = {moon_azimuth:20.2f} / Moon azimuth at start in deg, 0=N 90=E 270=W
  FOCUSID = 'MegaPrime'          / Telescope focus in use
  TELCONF = 'MegaPrime'          / Telescope focus in use
  FOCUSPOS=                -2654 / Telescope focus encoder readout
  TELFOCUS=                -2654 / Telescope focus encoder readout
  BONANGLE=                 0.00 / Telescope bonnette rotation angle in degrees
  ROTANGLE=                 0.00 / Telescope bonnette rotation angle in degrees
  ISUGAIN =                 0.30 / Instrument Stabilization Unit control gain
  ISURATE =                50.00 / ISU control rate in Hz
  ISUTCSOR=                 1.00 / ISU offload rate in Hz to telescope position
  ISUSTATE= 'Full    '           / ISU control state (Off/Only/TCS/Full/Frozen)
  ISUSTDVX=                 0.00 / ISU most recent minute std dev in x in arcsec
  ISUSTDVY=                 0.00 / ISU most recent minute std dev in y in arcsec
  FSAGAIN =                 0.00 / Focus Stage Assembly movement control gain
  FSARATE =                 3.33 / FSA control rate in Hz
  FSATHRES=                5.000 / FSA movement threshold in mm
  FSASTATE= 'None    '           / FSA control state (Off/On/Paused)
  FSANMOVE=                    0 / FSA number of actual moves in last 10 minutes
  FSAMINZ =                0.000 / FSA minimum position in last 10 minutes
  FSAMAXZ =                0.000 / FSA maximum position in last 10 minutes
  FSAMEANZ=                0.000 / FSA mean position in last 10 minutes
  FSASTDVZ=                0.000 / FSA position std dev in last 10 minutes
  TCSGPSBC= '{time}' / TCS GPS read out in BCD
  TCSGPSTM= {utc_hours:20.5f} / TCS GPS clock time in decimal hours
  TCSRBUSS= '{time}' / TCS RBUSS clock time
  TCSEPICS= '{date} {time}' / TCS EPICS clock time
  TCSAMODE= 'g       '           / TCS acquisition mode - T/O/G/g for t/o/g coords
  TCSMJD  = {mjd:20.7f} / TCS MJD
  TCSLST  = {sidereal_hours:20.5f} / TCS LST in decimal hours
  TCSAPHA = {hour_angle_deg:20.4f} / TCS apparent hour angle in degrees
  TCSAPDEC= {dec_deg:20.4f} / TCS apparent declination in degrees
  TCSOBHA = {hour_angle_deg:20.4f} / TCS observed hour angle in degrees
  TCSOBDEC= {dec_deg:20.4f} / TCS observed declination in degrees
  TCSENHA =                    0 / TCS hour angle encoder bits reading
  TCSENDEC=                    0 / TCS declination encoder bits reading
  TCSEDHA = {hour_angle_deg:20.4f} / TCS hour angle encoder in degrees
  TCSEDDEC= {dec_deg:20.4f} / TCS declination encoder in degrees
  TCSINHA =             -9999.90 / TCS hour angle incremental encoder in arcsec
  TCSINDEC=             -9999.90 / TCS declination incremental encoder in arcsec
  TCSSEHA =             -9999.90 / TCS hour angle servo error in arcsec
  TCSSEDEC=             -9999.90 / TCS declination servo error in arcsec
  TCSGEHA =             -9999.90 / TCS hour angle guider error in arcsec
  TCSGEDEC=             -9999.90 / TCS declination guider error in arcsec
  TCSMVRA =             -26.1000 / TCS right ascension acquisition move in arcsec
  TCSMVDEC=               8.8800 / TCS declination acquisition move in arcsec
  TCSMVX  =               -0.121 / TCS secondary guider acquisition x move in mm
  TCSMVY  =               -0.090 / TCS secondary guider acquisition y move in mm
  TESPMIRE=                -1.71 / 03 temp, surface, primary mirror east deg C
  TESPMIRW=                -1.54 / 02 temp, surface, primary mirror west deg C
  TESPMIRS=                -1.84 / 01 temp, surface, primary mirror west side degC
  TEAPMCLW=                -2.26 / 54 temp, air, primary mirror cell west deg C
  TEAMIRCI=                -3.11 / 58 temp, air, mirror cooling in at unit deg C
  TEAMIRCO=                -1.86 / 27 temp, air, mirror cooling out at cell deg C
  TEAPMSPN=                -1.62 / 65 temp, air, mirror spigot north cass deg C
  TEAPMSPS=                -1.66 / 64 temp, air, mirror spigot nouth M3 deg C
  TEATRNGE=                -4.67 / 23 temp, air, top ring east deg C
  TEATRNGW=                -2.94 / 06 temp, air, top ring west deg C
  TEANRLSB=                10.75 / 19 temp, air, north rail support beam deg C
  TESHRSET=              9999.00 / 08 temp, surface, horseshoe east top deg C
  TESTTRSH=                -2.06 / 97 temp, surface, telescope truss S high deg C
  TESTTRNM=                -2.00 / 94 temp, surface, telescope truss N mid deg C
  TESTTREM=                -1.81 / 95 temp, surface, telescope truss E mid deg C
  TESTTRWM=                -2.05 / 96 temp, surface, telescope truss W mid deg C
  TESTTRSL=                -1.45 / 98 temp, surface, telescope truss S low deg C
  TESTTRSE=                -2.21 / 69 temp, surface, telescope truss SE lower degC
  TEALOWWS=               -23.19 / 38 temp, air, dome lower weather stat side degC
  TEATOPWS=               -15.65 / 36 temp, air, dome top weather stat side deg C
  TEATOPOP=               -40.12 / 37 temp, air, dome top opposite weath side degC
  TEA2INCH=                -2.67 / 45 temp, air, two inches above fifth floor degC
  TEA2INEB=                -3.10 / 53 temp, air, two inches up by electronics degC
  TEA6FOOT=                -1.26 / 43 temp, air, six feet above fifth floor deg C
  TESCONRM=                -2.80 / 61 temp, surface, floor above control room degC
  TESPIERN=                -0.28 / 59 temp, surface, floor by north pier deg C
  TESPIERS=                -0.57 / 60 temp, surface, floor by south pier deg C
  TEAWTHRT=                -3.59 / 35 temp, air, weathertron deg C
  TEMPERAT=                -3.50 / 86 temp, air, weather tower deg C
  WINDSPED=                11.00 / 84 wind speed, weather tower knots
  WINDDIR =                75.72 / 85 wind direction, weather tower deg (N=0 E=90)
  RELHUMID=                77.29 / 87 relative humidity, weather tower %
  PRESSURE=               617.49 / 31 barometric pressure, control room mb
"""
